"""What the inventory's tests share: a good text, and the findings of one as lines."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kbootstrap.inventory import check

GOOD = """\
cluster: lab
kubernetes: "1.36.3"
hosts:
  masters:
    m1: {address: 10.0.0.11}
  workers:
    w1: {address: 10.0.0.21}
"""

Lines = Callable[[str], list[str]]


@pytest.fixture
def good() -> str:
    """A text without findings, seven lines long."""
    return GOOD


@pytest.fixture
def lines_of() -> Lines:
    """The findings of a text as lines; the spec is there exactly if none is an error."""

    def judge(text: str) -> list[str]:
        spec, findings = check(text, "c.yml")
        assert (spec is None) == any(finding.severity == "error" for finding in findings)
        return [str(finding) for finding in findings]

    return judge
