"""``firewall.show``: what a host's firewall lets through by itself is said, and what is missing only where something filters."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kbootstrap.engine.firewall import Shown
from kbootstrap.model.host import Firewall
from kbootstrap.report import firewall as words
from kbootstrap.resources.firewall.look import Seen
from kbootstrap.rolebook.openings import openings
from kbootstrap.tasks.firewall import _row
from kbootstrap.testing.builders import a_cluster

SPEC = a_cluster(1, 1)


def shown(host: str, seen: Seen, *, strict: bool = False, lacks: str = "") -> list[str]:
    here = replace(SPEC.host(host), firewall=Firewall(strict=strict))
    value = Shown(host=here, seen=seen, wanted=tuple(map(str, openings(SPEC, here).rules)), lacks=lacks)
    return list(words.lines([_row(value)]))


@pytest.mark.parametrize(
    ("host", "seen", "strict", "noted"),
    [
        ("m1", Seen(firewalld="-"), False, True),
        ("m1", Seen(firewalld="-"), True, False),
        ("w1", Seen(firewalld="-"), False, False),
        ("m1", Seen(ufw="-"), False, False),
    ],
)
def test_firewalld_forwards_what_was_translated(host: str, seen: Seen, strict: bool, noted: bool) -> None:
    assert any("NodePorts answer on this host too" in line for line in shown(host, seen, strict=strict)) is noted


def test_what_lacks_is_amiss_only_where_something_filters() -> None:
    assert shown("m1", Seen(ufw="-"), lacks="ufw is active")[1] == "  !! ufw is active"
    assert shown("m1", Seen(), lacks="no firewall is active")[1] == "  to do: no firewall is active"
    assert shown("m1", Seen())[1] == "  ok everything that the cluster needs is let in"
