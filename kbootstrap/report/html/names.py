"""Names of hosts, folded: ``m1–m3, w1, w4``. Forty names in a row say less than one range, and a range that lies would say nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LEAST = 3  # so many in a row become a range


def folded(names: Iterable[str]) -> str:
    """*names* in their order; a run of names that differ by a number that counts up one by one is a range."""
    runs: list[list[str]] = []
    for name in names:
        if runs and _follows(runs[-1][-1], name):
            runs[-1].append(name)
        else:
            runs.append([name])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) >= _LEAST else ", ".join(run) for run in runs)


def _follows(before: str, name: str) -> bool:
    """``node09`` → ``node10``: equal but for the number at the end, of the same width if it is written with zeros."""
    one, two = _parts(before), _parts(name)
    if one is None or two is None or one[0] != two[0] or int(two[1]) != int(one[1]) + 1:
        return False
    return len(one[1]) == len(two[1]) or not (one[1].startswith("0") or two[1].startswith("0"))


def _parts(name: str) -> tuple[str, str] | None:
    found = re.fullmatch(r"(.*?)([0-9]{1,9})", name, re.DOTALL)
    return (found[1], found[2]) if found else None
