"""Which of the long cases a run takes: a sample that its seed decides and its printed line repeats."""

from __future__ import annotations

import random
from collections.abc import Mapping


def sample(costs_s: Mapping[str, float], *, budget_s: float, seed: int) -> set[str]:
    """As many of the cases (name → usual seconds) as fit, in the order of a shuffle by *seed*; the order of *costs_s* does not matter."""
    order = sorted(costs_s)
    random.Random(seed).shuffle(order)  # noqa: S311  a sample, no secret
    chosen, left = set[str](), budget_s
    for name in order:
        if costs_s[name] <= left:
            chosen.add(name)
            left -= costs_s[name]
    return chosen
