"""What ``demo.down`` leaves is told: kubeconfigs and snapshots of a cluster that is gone are nobody's to remove but their owner's."""

from __future__ import annotations

from pathlib import Path

import pytest

from kbootstrap.tasks import _demo


def test_what_stays_is_told_with_the_command_that_removes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert list(_demo.left("lab")) == []
    (tmp_path / "inventory/lab/snapshots").mkdir(parents=True)
    (tmp_path / "inventory/lab/cluster.yml").touch()
    place = "inventory/lab"
    assert list(_demo.left("lab")) == [
        f"{place} keeps cluster.yml, snapshots/, of a cluster that is gone. When nothing of it is needed: rm -r {place}"
    ]
