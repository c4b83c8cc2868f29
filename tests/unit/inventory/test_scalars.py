"""Unquoted scalars: what every YAML reader agrees on passes, the rest is a surprise with the form to write."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kbootstrap.inventory.scalars import Surprising, plain_value, surprise

SURPRISES = (
    "yes No ON off Off 012 0o14 0x1F 0b11 1_000 1e3 1.5e3 1.30 1.0e+3 22:22 190:20:30 .5 1. +1 .inf -.inf .nan 2024-01-01 00 09 12345678901234567890"
)
AGREED = {"1": 1, "-3": -3, "0": 0, "1.5": 1.5, "true": True, "False": False, "~": None, "null": None, "": None}
TEXTS = ["1.36.3", "10.0.0.1", "10.244.0.0/16", "m1", "a=b:NoSchedule", "y", "n", "-", ".", "..", "~/.ssh/id", "v1", "10.0.0.11:6443", "0x", "e3"]


@pytest.mark.parametrize("text", SURPRISES.split())
def test_surprising(text: str) -> None:
    advice = surprise(text)
    assert advice is not None
    assert advice.read_as
    assert advice.quoted == f'"{text}"'
    assert isinstance(plain_value(text), Surprising)


@pytest.mark.parametrize("text", AGREED)
def test_agreed_by_all(text: str) -> None:
    assert plain_value(text) == AGREED[text]
    assert type(plain_value(text)) is type(AGREED[text])
    assert surprise(text) is None


@pytest.mark.parametrize("text", TEXTS)
def test_plain_text(text: str) -> None:
    assert plain_value(text) == text
    assert not isinstance(plain_value(text), Surprising)


@given(st.text("0123456789.-+_:xobeyntrufalsi ~", min_size=1, max_size=8).map(str.strip).filter(bool))
def test_whatever_passes_is_what_pyyaml_reads_too(text: str) -> None:
    try:
        theirs = yaml.safe_load(f"a: {text}\n")["a"]
    except (yaml.YAMLError, ValueError, TypeError):
        return  # not one plain scalar, or one that PyYAML cannot convert
    ours = plain_value(text)
    if not isinstance(ours, Surprising):
        assert ours == theirs
        assert type(ours) is type(theirs)
