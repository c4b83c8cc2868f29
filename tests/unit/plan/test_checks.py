"""Each preflight check finds its fault and only that; hosts without a fault never raise an alarm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from kbootstrap.model.facts import Facts, Observed
from kbootstrap.model.host import HostPrep, Kubelet
from kbootstrap.plan.checks.finding import Context, Finding
from kbootstrap.plan.ledger import Ledger
from kbootstrap.plan.preflight import preflight
from kbootstrap.testing.builders import a_cluster

SPEC = a_cluster()
OURS = Ledger(cluster_id="c1", cluster="lab")


def facts(name: str, **changed: Any) -> Facts:
    host = SPEC.host(name)
    good = Facts(
        hostname=name,
        arch="amd64",
        systemd=252,
        cgroup="v2",
        machine_id=f"id-{name}",
        addresses=("127.0.0.1/8", f"{host.address}/24"),
        ca_sha256="ca",
    )
    return replace(good, **changed)


def findings(changed: Mapping[str, Mapping[str, Any]], *, ledgers: Mapping[str, Ledger] | None = None, spec: Any = SPEC) -> tuple[Finding, ...]:
    observed = {host.name: Observed(host=host.name, facts=facts(host.name, **changed.get(host.name, {}))) for host in spec.hosts}
    known = {host.name: OURS for host in spec.hosts} | dict(ledgers or {})
    return preflight(Context(spec=spec, observed=observed, ledgers=known, cluster_id="c1", ca_sha256=("ca",)))


def told(found: tuple[Finding, ...]) -> list[tuple[str, str, bool]]:
    assert all(finding.hint.endswith((".", "}")) and finding.what for finding in found)
    return [(finding.check, finding.host, finding.warning) for finding in found]


HARMLESS = {
    "as wanted": {},
    "a hostname in capitals": {"m1": {"hostname": "M1"}},
    "more addresses": {"m1": {"addresses": ("127.0.0.1/8", "192.168.1.5/24", "10.77.0.11/16")}},
    "no CA yet": {"m1": {"ca_sha256": ""}},
    "no machine-id, twice": {"m1": {"machine_id": ""}, "m2": {"machine_id": ""}},
    "all clocks a little wrong together": {name: {"clock_s": -29.0} for name in ("m1", "m2", "m3", "w1", "w2")},
    "a clock a little off": {"w1": {"clock_s": 4.9}},
    "swap that will be switched off": {"m1": {"swap": True}},
    "the oldest systemd": {"m1": {"systemd": 247}},
}


@pytest.mark.parametrize("changed", HARMLESS.values(), ids=HARMLESS)
def test_no_false_alarm(changed: Mapping[str, Mapping[str, Any]]) -> None:
    assert findings(changed) == ()


FAULTS: dict[str, tuple[dict[str, Any], str, bool, str]] = {
    "another name": ({"hostname": "web7"}, "hostname", False, "«web7»"),
    "a longer name": ({"hostname": "m2.example.com"}, "hostname", False, "«m2.example.com»"),
    "the address is elsewhere": (
        {"addresses": ("127.0.0.1/8", "10.77.0.99/24")},
        "address",
        False,
        "10.77.0.12 is on none of its interfaces (found 10.77.0.99)",
    ),
    "an address that begins alike": ({"addresses": ("10.77.0.120/24",)}, "address", False, "10.77.0.12 is on none"),
    "no address at all": ({"addresses": ("127.0.0.1/8",)}, "address", False, "found none"),
    "another machine": ({"arch": "arm64"}, "architecture", False, "is arm64, the inventory says amd64"),
    "an old systemd": ({"systemd": 246}, "systemd", False, "systemd is 246, want 247 or newer"),
    "no systemd": ({"systemd": 0}, "systemd", False, "not run by systemd"),
    "cgroup v1": ({"cgroup": "v1"}, "cgroup", False, "cgroup v1"),
    "a clock ahead": ({"clock_s": 31.0}, "clock", False, "31 s ahead of"),
    "a clock behind": ({"clock_s": -3600.0}, "clock", False, "3600 s behind"),
    "a clock somewhat off": ({"clock_s": 6.0}, "clock", True, "6 s ahead of"),
    "a clone": ({"machine_id": "id-m1"}, "machine-id", False, "as m1"),
    "another CA": ({"ca_sha256": "f" * 64}, "cluster-marker", False, "another CA's"),
}


@pytest.mark.parametrize(("changed", "check", "warning", "said"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_found_by_its_check_alone(changed: dict[str, Any], check: str, warning: bool, said: str) -> None:
    found = findings({"m2": changed})
    assert told(found) == [(check, "m2", warning)]
    assert said in found[0].what


def test_another_clusters_host_is_refused_by_the_ledger_before_its_ca_is_looked_at() -> None:
    found = findings({"w1": {"ca_sha256": "theirs"}}, ledgers={"w1": Ledger(cluster_id="c2", cluster="shop")})
    assert told(found) == [("cluster-marker", "w1", False)]
    assert "«shop» (c2)" in found[0].what


def test_a_running_cluster_keeps_its_name() -> None:
    found = findings({}, ledgers={"w1": Ledger(cluster_id="c1", cluster="lob")})
    assert told(found) == [("cluster-marker", "w1", False)]
    assert found[0].what == "was installed as the cluster «lob», and cluster.yml says «lab»"
    assert "Write cluster: lob again" in found[0].hint


def test_a_host_without_a_ledger_may_be_taken() -> None:
    assert findings({"w1": {"ca_sha256": ""}}, ledgers={"w1": Ledger()}) == ()


def test_swap_is_refused_only_where_nobody_will_do_anything_about_it() -> None:
    def with_prep(swap: str, fail: bool) -> Any:
        hosts = tuple(replace(host, host=HostPrep(swap=swap), kubelet=Kubelet(fail_swap_on=fail)) for host in SPEC.hosts)
        return replace(SPEC, hosts=hosts)

    told_of = {
        (swap, fail): told(findings({"m1": {"swap": True}}, spec=with_prep(swap, fail))) for swap in ("off", "leave") for fail in (True, False)
    }
    assert {case: bool(found) for case, found in told_of.items()} == {
        ("off", True): False, ("off", False): False, ("leave", True): True, ("leave", False): False,
    }  # fmt: skip


def test_cgroup_v1_may_be_allowed() -> None:
    hosts = tuple(replace(host, kubelet=Kubelet(allow_cgroup_v1=True)) for host in SPEC.hosts)
    assert findings({"m1": {"cgroup": "v1"}}, spec=replace(SPEC, hosts=hosts)) == ()


@pytest.mark.parametrize("off_s", [40.0, -40.0])
def test_of_two_clocks_the_one_that_differs_from_the_operators_is_wrong(off_s: float) -> None:
    assert told(findings({"w1": {"clock_s": off_s}}, spec=a_cluster(1, 1))) == [("clock", "w1", False)]


def test_faults_of_all_hosts_are_told_at_once() -> None:
    found = findings({name: {"hostname": "x", "arch": "arm64"} for name in ("m1", "w2")})
    assert sorted((f.host, f.check) for f in found) == [("m1", "architecture"), ("m1", "hostname"), ("w2", "architecture"), ("w2", "hostname")]


def test_all_clocks_wrong_together_are_the_operators() -> None:
    found = findings({name: {"clock_s": -86400.0} for name in ("m1", "m2", "m3", "w1", "w2")})
    assert told(found) == [("clock", "operator", True)]
    assert "86400 s ahead" in found[0].what
