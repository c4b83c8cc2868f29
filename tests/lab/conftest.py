"""Practice hosts for the tests: names that no other run uses, and one lab of 3 + 2 that the whole session shares."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from kbootstrap import lab as labs


@contextmanager
def claimed(prefix: str) -> Iterator[str]:
    """A lab name for this run alone. What a run that was killed left under it is removed first, what this one made at the end."""
    place = Path(tempfile.gettempdir()) / "kbootstrap-tests"
    place.mkdir(exist_ok=True)
    for number in range(100):
        name = f"{prefix}{number:02d}"
        lock = FileLock(place / f"{name}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            continue
        try:
            labs.down(name)
            yield name
        finally:
            labs.down(name)
            lock.release()
        return
    raise RuntimeError(f"all names {prefix}00 to {prefix}99 are in use")


@pytest.fixture(scope="session")
def lab_machine() -> None:
    """This machine can have lab hosts. Under CI=true a test that needs them is never skipped: what is missing then fails it."""
    if os.geteuid() and os.environ.get("CI") != "true":
        pytest.skip("lab hosts need root (namespaces, mounts)")


@pytest.fixture(scope="session")
def claim() -> Callable[[str], AbstractContextManager[str]]:
    """``with claim("kbtest") as name``: a lab name for this run alone, and no trace of it after."""
    return claimed


@pytest.fixture(scope="session")
def shared_lab(lab_machine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[labs.Lab]:
    """Three masters and two workers for every test of the session that does not need hosts of its own; left as a test left it."""
    with claimed("kbtest") as name:
        yield labs.up(name=name, inventory=tmp_path_factory.mktemp("inventory") / name)
