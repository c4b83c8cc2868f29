"""Ten thousand random kubeconfigs; the unit tests have a handful of them at every run."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kubeconfigs import merge_and_remove, written


@pytest.mark.parametrize("quarter", [pytest.param(n, id=f"quarter{n}", marks=pytest.mark.long(seconds=60)) for n in range(4)])
@settings(max_examples=2_500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(files=st.lists(written(), min_size=1, max_size=2))
def test_ten_thousand_kubeconfigs_survive_a_merge_and_a_removal(quarter: int, files: list[str]) -> None:
    merge_and_remove(files)
