"""The preflight as a run of its own, and as the first part of every other: what is asked, what stops, what is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from kbootstrap.engine import api, preflight, run
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.request import Request
from kbootstrap.errors import ConnectError, PreflightError, PrivilegeError
from kbootstrap.model.cluster import ClusterSpec, Preflight
from kbootstrap.model.desired import Desired, Wanted
from kbootstrap.model.events import Event, Note
from kbootstrap.model.finding import Severity
from kbootstrap.model.host import Firewall, FirewallMode
from kbootstrap.model.pki import Pki
from kbootstrap.plan.stages import STAGES
from kbootstrap.remote.pool import Pool
from kbootstrap.store.folder import Folder
from kbootstrap.store.state import State
from kbootstrap.testing.builders import a_cluster
from kbootstrap.testing.fake_host import Answer, FakeHost, reading
from tests.unit.plan.checks.said import said

FACTS = "hostname=@\narch=x86_64\nsystemd=252\ncgroup=v2\nkernel=6.1.0\n"


class _Known:
    """The fields of a Prepared that a look touches before it plans."""

    def __init__(self, spec: ClusterSpec, *, wants: bool) -> None:
        self.spec, self.pki, self.state = spec, Pki(), State(cluster_id="c1")
        self.desired = Desired(hosts={host.name: {stage.name: Wanted(resources=()) for stage in STAGES} for host in spec.hosts} if wants else {})


def a_host(spec: ClusterSpec, name: str, changes: dict[str, str] | None = None, *, ledger: bytes = b"", firewall: bytes = b"") -> FakeHost:
    address = f"2: eth0    inet {spec.host(name).address}/24\n"
    answers = {
        "facts": (0, (FACTS.replace("@", name) + address).encode()),
        "survey": (0, said(spec.host(name), changes or {}).encode()),
        "ledger": (0, ledger),
        "firewall": (0, firewall),
    }
    return FakeHost(host=name, scripts=[reading(answers)])


def a_pool(spec: ClusterSpec, hosts: dict[str, FakeHost]) -> Pool:
    return Pool(spec.hosts, lambda host: hosts[host.name])


def a_request(events: list[Event]) -> Request:
    return Request(folder=Folder(root=Path("nowhere")), listener=events.append, connect=lambda known: pytest.fail("connected already"))


def looked(spec: ClusterSpec, hosts: dict[str, FakeHost], events: list[Event], **options: Any) -> run.Picture:
    known = cast(Prepared, _Known(spec, wants=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preflight, "ca_files_sha256", lambda pki: ("ca",))
        return run.look(a_request(events), known, a_pool(spec, hosts), **options)


def test_one_program_asks_all_and_nothing_but_what_is_judged() -> None:
    spec = a_cluster(1, 0)
    host = a_host(spec, "m1")
    known = cast(Prepared, _Known(spec, wants=False))
    found = preflight.read(known, a_pool(spec, {"m1": host}), spec.hosts, thorough=True)
    assert len(host.programs) == 1
    assert [name for name in ("facts", "survey", "ledger", "firewall", "blobs", "before") if f"kb_end {name}" in host.programs[0]] == [
        "facts",
        "survey",
        "ledger",
        "firewall",
    ]
    assert found.observed["m1"].survey.thorough
    assert preflight.judge(known, found, ca_sha256=("ca",)) == ()


def test_alone_it_tells_of_a_firewall_that_is_left_to_the_operator() -> None:
    spec = a_cluster(1, 0)
    spec = replace(spec, hosts=tuple(replace(host, firewall=Firewall(manage=FirewallMode.REPORT)) for host in spec.hosts))
    host = a_host(spec, "m1", firewall=b"ufw -\nstrict -\n")
    known = cast(Prepared, _Known(spec, wants=False))
    found = preflight.judge(known, preflight.read(known, a_pool(spec, {"m1": host}), spec.hosts, thorough=True), ca_sha256=("ca",))
    assert [(each.check, each.severity, each.evidence) for each in found] == [("firewall", Severity.WARNING, "active: ufw")]


def test_hosts_that_cannot_be_read_are_told_together_with_unfit_ones() -> None:
    spec = a_cluster(3, 0)
    hosts = {"m1": a_host(spec, "m1"), "m2": a_host(spec, "m2", {"": "missing=nft"}), "m3": FakeHost(host="m3")}
    hosts["m3"].scripts = [lambda program, payload: Answer(error=PrivilegeError("user kb is not in sudoers", hint="Allow kb."))]
    with pytest.raises(PrivilegeError) as caught:
        looked(spec, hosts, [])
    assert [(problem.where, problem.what) for problem in caught.value.problems] == [
        ("m3", "user kb is not in sudoers"), ("m2", "commands: lacks the command nft."),
    ]  # fmt: skip
    assert isinstance(caught.value, ConnectError)


def test_what_is_refused_stops_with_the_way_to_know_more() -> None:
    spec = a_cluster(1, 0)
    with pytest.raises(PreflightError, match=r"1 preflight check failed; nothing was changed") as caught:
        looked(spec, {"m1": a_host(spec, "m1", {"": "missing=nft"})}, [])
    assert "preflight.run" in caught.value.hint
    assert "waive" in caught.value.hint


def test_a_damaged_ledger_is_told_with_the_rest() -> None:
    spec = a_cluster(1, 1)
    hosts = {"m1": a_host(spec, "m1", ledger=b"{"), "w1": a_host(spec, "w1", {"": "missing=nft"})}
    with pytest.raises(PreflightError) as caught:
        looked(spec, hosts, [])
    assert sorted(problem.where for problem in caught.value.problems) == ["m1", "w1"]


def test_waived_and_warned_are_said_once_and_stop_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = replace(a_cluster(1, 0), preflight=Preflight(waive={"commands": "we know"}))
    monkeypatch.setattr(api, "ask", lambda *_: ("m1", None))
    for again in (False, True):
        events: list[Event] = []
        host = a_host(spec, "m1", {"": "missing=nft\nselinux=1"})
        picture = looked(spec, {"m1": host}, events, again=again)
        assert [finding.severity for finding in picture.findings] == [Severity.WARNING, Severity.WAIVED]
        notes = {event.text: event.warning for event in events if isinstance(event, Note) and event.host}
        assert len(notes) == (0 if again else 2)
        assert again or notes["commands: lacks the command nft (waived: we know)"] is False
        assert ("t='';" in host.programs[0].replace("'\"'\"'", "'")) is again  # what is dear is not asked twice
