"""What fixtures may know of the test that they end with."""

from __future__ import annotations

import pytest

FAILED = pytest.StashKey[bool]()  # in item.stash once the test itself failed
