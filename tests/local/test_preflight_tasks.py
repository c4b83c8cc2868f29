"""``preflight.list`` and ``--only`` as the user runs them; no host is asked."""

from __future__ import annotations

import json

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from kbootstrap.catalog.checks import BY_ID, WAIVABLE
from kbootstrap.errors import UsageError
from kbootstrap.plan.preflight import CHECKS
from kbootstrap.tasks import preflight


def test_every_check_is_listed_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    preflight.list_(Context())
    listed = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert set(listed) == set(WAIVABLE) >= set(CHECKS)
    assert listed["root"].endswith("(cannot be waived)")
    assert listed["reach-kubelet"].startswith("kubelet API: ")
    assert {name for name, said in listed.items() if said.endswith("(ports.check)")} == set(WAIVABLE) - set(BY_ID)


def test_the_list_as_json_says_which_command_makes_a_check(capsys: pytest.CaptureFixture[str]) -> None:
    preflight.list_(Context(), json=True)
    command = {row["check"]: row["command"] for row in json.loads(capsys.readouterr().out)}
    assert (command["swap"], command["reach-etcd-peer"]) == ("preflight.run", "ports.check")


@pytest.mark.parametrize(
    ("only", "said"),
    [("reach-kubelet", "which preflight.run does not try\n  `invoke ports.check` proves"), ("swop", "no check is called swop\n  Did you mean swap?")],
)
def test_only_what_is_a_check_of_hosts(only: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exit) as caught:
        preflight.run(Context(), only=only)
    assert caught.value.code == UsageError.exit_code
    assert said in capsys.readouterr().err
