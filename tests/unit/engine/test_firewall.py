"""The stage alone: it wants only its own, and its ledger knows what was there before everything else."""

from __future__ import annotations

from pathlib import Path

import yaml

from kbootstrap.catalog import paths
from kbootstrap.engine import firewall
from kbootstrap.model.resource import Firewall
from kbootstrap.plan import before
from kbootstrap.plan.stages import FIREWALL
from kbootstrap.store.folder import Folder

INVENTORY = {
    "cluster": "lab",
    "kubernetes": "1.36.3",
    "firewall": {"strict": True},
    "hosts": {
        "masters": {"m1": {"address": "10.77.0.11"}},
        "workers": {"w1": {"address": "10.77.0.21", "firewall": {"manage": False, "strict": False}}},
    },
}


def test_it_wants_rules_and_their_watcher_and_needs_no_certificate(tmp_path: Path) -> None:
    (tmp_path / "cluster.yml").write_text(yaml.safe_dump(INVENTORY))
    prepared = firewall.prepare(Folder(root=tmp_path))
    keys = {name: [r.key for r in prepared.desired.hosts[name][FIREWALL].resources] for name in ("m1", "w1")}
    assert keys == {
        "m1": ["firewall/openings", "/etc/systemd/system/kb-firewall.service", "service/kb-firewall.service"],
        "w1": ["firewall/openings"],
    }
    wanted = {name: prepared.desired.hosts[name][FIREWALL].resources[0] for name in keys}
    assert [(want.opens, want.strict) for want in wanted.values() if isinstance(want, Firewall)] == [(True, True), (False, False)]


def test_its_ledger_will_know_what_lay_where_daemons_write(tmp_path: Path) -> None:
    (tmp_path / "cluster.yml").write_text(yaml.safe_dump(INVENTORY))
    prepared = firewall.prepare(Folder(root=tmp_path))
    probe = before.probe(prepared.desired, "m1")
    assert paths.ETCD_DATA in probe
    assert "/var/lib/kubelet" in probe
    assert "getent group" in probe
    assert " etcd" in probe
