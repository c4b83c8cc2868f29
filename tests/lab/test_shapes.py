"""Every shape of cluster comes up, serves, and is whole at the second look: one host to five masters, both endpoints, both networks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import yaml

from kbootstrap import lab as labs

pytestmark = pytest.mark.lab


def _with_options(lab: labs.Lab, options: dict[str, Any]) -> None:
    path = lab.folder / "cluster.yml"
    path.write_text(path.read_text() + (yaml.safe_dump(options) if options else ""))


@pytest.mark.parametrize(
    ("masters", "workers", "options"),
    [
        pytest.param(1, 0, {}, id="1+0", marks=pytest.mark.long(seconds=35)),
        pytest.param(1, 1, {"endpoint": "gateway", "network": {"plugin": "vxlan"}}, id="1+1-gateway-vxlan", marks=pytest.mark.long(seconds=40)),
        pytest.param(1, 1, {"certificates": {"key_type": "rsa"}}, id="1+1-rsa", marks=pytest.mark.long(seconds=50)),
        pytest.param(5, 0, {}, id="5+0", marks=pytest.mark.long(seconds=90)),
    ],
)
def test_it_comes_up_and_stays(
    masters: int,
    workers: int,
    options: dict[str, Any],
    claim: Callable[[str], AbstractContextManager[str]],
    of_lab: Callable[[labs.Lab], Any],
    lab_machine: None,
    tmp_path: Path,
) -> None:
    with claim("kbshap") as name:
        lab = labs.up(name=name, masters=masters, workers=workers, inventory=tmp_path / name)
        _with_options(lab, options)
        cluster = of_lab(lab)
        first = cluster.up()
        assert first.applied
        checks = {result.check for result in first.results}
        assert {"etcd", "readyz", "node", "served-certificate", "dns", "cluster-ip", "node-port"} <= checks
        second = cluster.up()
        assert second.picture.plan.empty
        assert not second.applied
        ready = cluster.kubectl("get", "nodes", "--no-headers").splitlines()
        assert len(ready) == masters + workers
        assert all(line.split()[1] == "Ready" for line in ready)
