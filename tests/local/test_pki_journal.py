"""A rotation's change of the PKI directory, ended at every single operation: the directory holds the old PKI or the new one, and goes on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kbootstrap.catalog import names
from kbootstrap.errors import PkiError
from kbootstrap.model.pki import Issued, Pki
from kbootstrap.pki import issue, rotate
from kbootstrap.pki.profiles import profiles
from kbootstrap.store import clock, pki_dir
from kbootstrap.store.entropy import SystemEntropy
from kbootstrap.testing.builders import a_cluster

SPEC = a_cluster(1, 1)
WANTED = [p for p in profiles(SPEC) if p.name in {"apiserver", "admin"}]
WRITING = ("open", "mkdir", "rename", "replace", "unlink", "fsync", "rmdir")


class Killed(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cluster") / "pki"
    pki, issued = issue.complete(Pki(), WANTED, now=clock.now(), certificates=SPEC.certificates, entropy=SystemEntropy())
    pki_dir.save(root, pki, issued)
    return root


def _steps(before: Pki) -> list[tuple[Pki, tuple[Issued, ...]]]:
    """A whole rotation: the PKI after each of its changes."""
    name = names.CLUSTER_CA
    begun, issued = rotate.begin(before, name, now=clock.now(), certificates=SPEC.certificates, entropy=SystemEntropy())
    promoted = rotate.promote(begun, name)
    complete, leaves = issue.complete(promoted, WANTED, now=clock.now(), certificates=SPEC.certificates, entropy=SystemEntropy())
    return [(begun, issued), (complete, leaves), (rotate.drop(complete, name), ())]


@contextmanager
def _killed_at(number: int, patch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Before the operation called *number* (from 0) of those that change a disk, the process is gone."""
    done: list[str] = []

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if len(done) == number:
                raise Killed
            done.append(name)
            return real(*args, **kwargs)

        return call

    with patch.context() as inside:
        for name in WRITING:
            inside.setattr(os, name, counted(name, getattr(os, name)))
        yield done


@pytest.mark.parametrize("step", [0, 1, 2], ids=["begin", "promote", "drop"])
def test_a_change_is_whole_wherever_it_ends(step: int, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = Path(shutil.copytree(made, tmp_path / "pki"))
    steps = _steps(pki_dir.load(base))
    for pki, issued in steps[:step]:
        pki_dir.replace(base, pki_dir.load(base), pki, issued)
    before, (after, issued) = pki_dir.load(base), steps[step]
    seen = []
    for number in range(10_000):
        root = Path(shutil.copytree(base, tmp_path / f"pki-{number}"))
        with _killed_at(number, monkeypatch) as done:
            try:
                pki_dir.replace(root, before, after, issued)
            except Killed:
                pass
            else:
                break
        found = pki_dir.load(root)
        assert found in (before, after), f"neither old nor new after {done}"
        seen.append(found == after)
        pki_dir.replace(root, found, after, ())  # goes on
        assert pki_dir.load(root) == after
        assert not [path.name for path in root.rglob("*") if path.name.startswith(".journal")]
        shutil.rmtree(root)
    assert seen == sorted(seen), "once new, it stays new"
    assert seen.count(False) > 5
    assert seen.count(True) > 5


def test_a_directory_that_somebody_else_changed_is_left_alone(made: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(made, tmp_path / "pki"))
    before = pki_dir.load(root)
    (begun, issued), *_ = _steps(before)
    pki_dir.replace(root, before, begun, issued)
    with pytest.raises(PkiError, match="changed meanwhile"):
        pki_dir.replace(root, before, begun, issued)
    assert pki_dir.load(root) == begun


def test_a_key_that_was_replaced_is_nowhere_and_a_certificate_is_kept_beside(made: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(made, tmp_path / "pki"))
    before = pki_dir.load(root)
    for pki, issued in _steps(before):
        pki_dir.replace(root, pki_dir.load(root), pki, issued)
    assert (root / "ca/ca.crt.previous").read_bytes() == before.ca(names.CLUSTER_CA).cert_pem
    assert before.ca(names.CLUSTER_CA).key_pem not in [path.read_bytes() for path in root.rglob("*") if path.is_file()]
