"""Commands in messages become those that this user can type; prose and paths stay."""

from __future__ import annotations

import json

import pytest

from kbootstrap.tasks._runner import VARIABLE, in_hand, typed


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("invoke cluster.status", "kb cluster.status"),
        ("next: `invoke inventory.trust --cluster x`, or invoke demo.", "next: `kb inventory.trust --cluster x`, or kb demo."),
        ("./inv inventory.from_vagrant", "kb inventory.from_vagrant"),
        ("invoke --help cluster.up; invoke --list", "kb --help cluster.up; kb --list"),
        ("[invoke firewall.apply --limit m2]", "[kb firewall.apply --limit m2]"),
    ],
)
def test_a_command_is_as_it_is_typed(text: str, wanted: str) -> None:
    assert typed(text, "kb") == wanted


@pytest.mark.parametrize("text", ["containers invoke hooks", "/opt/invoke cluster.up", "reinvoke cluster.up", "invoke it. Now", "a../inv cluster.up"])
def test_what_is_no_command_stays(text: str) -> None:
    assert typed(text, "kb") == text


@pytest.mark.parametrize(
    ("given", "shown"), [("./inv", "./inv"), ("/my place/inv", "'/my place/inv'"), ('/a"b/inv', "invoke"), (r"/\1/inv", "invoke"), ("", "invoke")]
)
def test_any_folder_can_be_typed_and_json_stays_json(monkeypatch: pytest.MonkeyPatch, given: str, shown: str) -> None:
    monkeypatch.setenv(VARIABLE, given)
    assert json.loads(in_hand(json.dumps({"hint": "invoke cluster.status"}))) == {"hint": f"{shown} cluster.status"}


def test_by_default_it_is_invoke(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert in_hand("./inv cluster.up") == "invoke cluster.up"
