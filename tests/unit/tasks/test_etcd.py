"""What a restore of etcd that somebody said no to is told to have done."""

from __future__ import annotations

import pytest
from invoke.exceptions import Exit

from kbootstrap.engine.etcd_restore import Outcome
from kbootstrap.plan.etcd_restore import Restore
from kbootstrap.tasks import _etcd_acting
from kbootstrap.testing.builders import a_cluster

TARGET = Restore(spec=a_cluster(1, 0), sha256="", size=0)


@pytest.mark.parametrize("done", ["", "Nothing was restored. To see what is there, etcd was started on m1."])
def test_nothing_was_changed_is_said_only_where_it_is_true(done: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exit):
        _etcd_acting._end(Outcome(restore=TARGET, applied=False, done=done))
    assert capsys.readouterr().out == (done or "Nothing was changed.") + "\n"
