"""A host to change without harm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.resources.machine import Machine, this_machine


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """This machine, its state of ours below the test's own directory."""
    with this_machine(tmp_path / "host") as found:
        yield found
