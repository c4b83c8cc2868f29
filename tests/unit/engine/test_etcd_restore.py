"""What a member that was restored says of itself, when it says something else than was expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from kbootstrap.engine.etcd_restore import _Restoring
from kbootstrap.errors import ApplyError
from kbootstrap.plan.etcd_restore import Restore
from kbootstrap.store.snapshots import Checked
from kbootstrap.testing.builders import a_cluster
from kbootstrap.testing.fake_host import Answer, FakeHost, when


def test_a_count_that_is_none_is_told_with_its_host_and_what_to_do() -> None:
    spec, none = a_cluster(1, 0), cast(Any, None)
    checked = Checked(path=Path("a.db"), sha256="", inner_sha256="", size=0)
    restoring = _Restoring(request=none, prepared=none, pool=none, target=Restore(spec=spec, sha256="", size=0), checked=checked)
    host = FakeHost(host="m1", scripts=[when("--count-only", Answer(stdout=b"other words \xff\n"))])
    with pytest.raises(ApplyError, match="its keys cannot be counted: not what etcdctl says: other words") as refused:
        restoring._counted(spec.masters[0], host, alone=True)
    assert (refused.value.host, bool(refused.value.hint)) == ("m1", True)
