"""Files: what cannot be read is said in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from kbootstrap.errors import InventoryError
from kbootstrap.inventory import Severity, load
from kbootstrap.model.host import Role

EXAMPLE = Path(__file__).parents[3] / "inventory" / "example" / "cluster.yml"


def test_the_example_is_good() -> None:
    spec = load(EXAMPLE)
    assert [host.name for host in spec.hosts] == ["m1", "m2", "m3", "w1", "w2"]
    assert [Role.MASTER in host.roles for host in spec.hosts] == [True, True, True, False, False]
    assert spec.host("w2").kubelet.max_pods == 60
    assert str(spec.host("w2").taints[0]) == "gpu=true:NoSchedule"
    assert spec.host("m3").ssh.sudo.needed


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match=r"cluster\.yml does not exist") as caught:
        load(tmp_path / "cluster.yml")
    assert "inventory.new" in caught.value.hint
    assert caught.value.exit_code == 2


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match="cannot be read: Is a directory"):
        load(tmp_path)


@pytest.mark.parametrize("data", ["cluster: lab\nname: \xe4\n".encode("latin-1"), "cluster: lab\n".encode("utf-16")])
def test_not_utf8(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "cluster.yml"
    path.write_bytes(data)
    with pytest.raises(InventoryError, match=r"cluster\.yml:(2:7|1:1)  not UTF-8 text"):
        load(path)


def test_50_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yml"
    with path.open("wb") as file:
        file.truncate(50_000_000)
    with pytest.raises(InventoryError, match="has 50000000 bytes, at most 4000000 are read"):
        load(path)


def test_the_error_carries_every_finding(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yml"
    path.write_text('cluster: lab\nkubernetes: "1.36.3"\nx: 1\nhosts: {masters: {m1: {address: 10.0.0.1}, m2: {address: 10.0.0.2}}}\n')
    with pytest.raises(InventoryError, match=r"cluster\.yml has 2 problems; nothing was contacted") as caught:
        load(path)
    assert [problem.where for problem in caught.value.problems] == [f"{path}:3:1", f"{path}:4:1", f"{path}:4:9"]
    assert [getattr(problem, "severity", None) for problem in caught.value.problems] == [Severity.ERROR, Severity.WARNING, Severity.ERROR]
