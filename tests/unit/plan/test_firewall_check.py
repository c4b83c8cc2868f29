"""A firewall that must be left alone: what it would have to let in is said, and only where it drops."""

from __future__ import annotations

from dataclasses import replace

from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.facts import Facts, Observed
from kbootstrap.model.host import Firewall, FirewallMode
from kbootstrap.plan.checks import firewall
from kbootstrap.plan.checks.finding import Context, Finding
from kbootstrap.resources.firewall.look import NAME, Chain, Seen
from kbootstrap.testing.builders import a_cluster

DROPS = Seen(chains=(Chain(tool="nft", family="inet", table="filter", name="input", hook="input", tag="-", rules=0, filters=True),))


def findings(mode: FirewallMode, seen: Seen) -> list[Finding]:
    spec: ClusterSpec = a_cluster(1, 1)
    spec = replace(spec, hosts=tuple(replace(host, firewall=Firewall(manage=mode)) for host in spec.hosts))
    observed = {host.name: Observed(host=host.name, facts=Facts(), kinds={"firewall": {NAME: seen}}) for host in spec.hosts}
    return list(firewall.check(Context(spec=spec, observed=observed, ledgers={}, cluster_id="", ca_sha256=())))


def test_report_names_every_opening() -> None:
    found = findings(FirewallMode.REPORT, DROPS)
    assert [each.host for each in found] == ["m1", "w1"]
    assert all(each.warning for each in found)
    assert "inet filter input may drop what the cluster needs, which is to allow tcp 22 from anywhere (SSH of the operator), " in found[0].what
    assert "(kubelet API)" in found[1].what


def test_nothing_is_said_where_it_is_opened_or_left_alone_or_nothing_drops() -> None:
    assert findings(FirewallMode.TRUE, DROPS) == []
    assert findings(FirewallMode.FALSE, DROPS) == []
    assert findings(FirewallMode.REPORT, Seen()) == []
