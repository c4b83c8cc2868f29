"""Which survivor's data becomes the cluster's, by hosts that answer as told."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from kbootstrap.catalog import ports
from kbootstrap.engine import etcd_recover
from kbootstrap.engine.prepared import Prepared
from kbootstrap.errors import ConnectError, KbError, PreflightError
from kbootstrap.model.desired import Desired
from kbootstrap.model.host import Host
from kbootstrap.model.pki import Pki
from kbootstrap.model.snapshot import Snapshot
from kbootstrap.plan import etcd_status as asking
from kbootstrap.plan.etcd_recover import Survivor, ranked, silent
from kbootstrap.remote.connection import Connection, Stream
from kbootstrap.remote.pool import Pool
from kbootstrap.render.env import Renderer
from kbootstrap.rolebook.expand import World
from kbootstrap.store import clock, snapshots
from kbootstrap.store.folder import Folder
from kbootstrap.store.state import State
from kbootstrap.testing.builders import a_cluster
from kbootstrap.testing.fake_host import Answer, FakeHost, when

SPEC = a_cluster(5, 0)


def a_host(name: str, *, db_bytes: int = 0, revision: int = 0, committed: int = 0, runs: bool = True) -> FakeHost:
    """One with data tells as etcd does: after a restart without a quorum nothing is committed. Without a *revision* it tells nothing."""
    said = f"data {db_bytes} {int(runs)}" if db_bytes else "empty"
    metrics = f"etcd_server_proposals_committed_total {committed}\n{asking.APPLIED} {revision}\n{asking.REVISION} {revision}\n"
    answer = {("127.0.0.1", ports.ETCD_METRICS.number): f"HTTP/1.0 200 OK\r\n\r\n{metrics}".encode()}
    return FakeHost(host=name, scripts=[when("member/snap/db ] ||", Answer(stdout=said.encode()))], listening=answer if revision else {})


def a_site(hosts: Mapping[str, FakeHost], errors: Mapping[str, KbError] | None = None, root: Path = Path("inventory/lab")) -> tuple[Prepared, Pool]:
    world = World(spec=SPEC, pki=Pki(), renderer=Renderer(()), pod_ranges={}, binaries={}, images={})
    folder, state, desired = Folder(root=root), State(cluster_id="ours"), Desired(hosts={})
    prepared = Prepared(folder=folder, spec=SPEC, state=state, pki=Pki(), issued=(), world=world, desired=desired)

    def connect(host: Host) -> Connection:
        if errors and host.name in errors:
            raise errors[host.name]
        return hosts.get(host.name) or FakeHost(host=host.name, scripts=[when("member/snap/db ] ||", Answer(stdout=b"empty"))])

    return prepared, Pool(SPEC.hosts, connect)


def searched(hosts: Mapping[str, FakeHost], monkeypatch: pytest.MonkeyPatch, errors: Mapping[str, KbError] | None = None) -> tuple[Survivor, ...]:
    monkeypatch.setattr(etcd_recover, "STILL_S", 0.0)
    monkeypatch.setattr(etcd_recover, "WAKING_S", 1.0)
    prepared, pool = a_site(hosts, errors)
    with pool:
        return etcd_recover.choose(prepared, pool)[0]


def test_one_that_rebooted_with_the_newest_data_wins_over_one_that_never_did(monkeypatch: pytest.MonkeyPatch) -> None:
    stale = a_host("m2", db_bytes=41_000_000, revision=7_000_000, committed=7_000_000)
    newest = a_host("m4", db_bytes=40_000_000, revision=9_000_000)
    assert [each.host for each in searched({"m2": stale, "m4": newest}, monkeypatch)] == ["m4", "m2"]


def test_a_master_that_cannot_be_read_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    asleep = a_host("m2", db_bytes=1, revision=7, runs=False)
    with pytest.raises(ConnectError, match="nothing was changed") as refused:
        searched({"m2": asleep}, monkeypatch, {"m5": ConnectError("no answer", host="m5")})
    assert "take it out of cluster.yml" in refused.value.hint
    broken = FakeHost(host="m5", scripts=[when("member/snap/db ] ||", Answer(exit_code=1, stderr="Input/output error"))])
    with pytest.raises(ConnectError, match="nothing was changed") as refused:
        searched({"m2": asleep, "m5": broken}, monkeypatch)
    assert "Input/output error" in refused.value.problems[0].what
    assert not [program for program in asleep.programs if program.startswith("systemctl start")]


def test_among_several_one_that_does_not_tell_may_be_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    tells, mute = a_host("m2", db_bytes=1, revision=7), a_host("m4", db_bytes=2)
    with pytest.raises(PreflightError, match="etcd of m4 does not tell") as refused:
        searched({"m2": tells, "m4": mute}, monkeypatch)
    assert "m2: revision 7" in refused.value.message
    assert "given-up" in refused.value.hint
    (alone,) = searched({"m4": mute}, monkeypatch)
    assert alone.told == "revision unknown, 0.0 MB"


def test_the_newest_is_told_by_the_database_not_by_rafts_counters() -> None:
    killed = Survivor(host="m1", revision=31, applied=35, db_bytes=2)
    behind = Survivor(host="m2", revision=30, applied=38, db_bytes=9)
    restored = Survivor(host="m3", revision=1_000_000_031, applied=4, db_bytes=1)  # its entries began anew
    assert [each.host for each in ranked([behind, killed, restored])] == ["m3", "m1", "m2"]
    assert silent([killed, behind]) == ()


def test_a_log_that_is_still_replayed_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Replaying(FakeHost):
        def dial(self, address: str, port: int, *, timeout_s: float = 5.0) -> Stream:
            self.listening = a_host("m2", db_bytes=1, revision=min(5 + len(self.programs), 9)).listening
            self.programs.append("asked")
            return super().dial(address, port, timeout_s=timeout_s)

    slow = Replaying(host="m2", scripts=a_host("m2", db_bytes=1).scripts)
    monkeypatch.setattr(clock, "pause", lambda seconds: None)
    assert searched({"m2": slow}, monkeypatch)[0].revision == 9


def test_a_restore_to_other_addresses_that_was_cut_off_is_told_with_its_way_on_before_anything_is_touched(tmp_path: Path) -> None:
    hosts = {name: a_host(name, db_bytes=1, revision=7, runs=False) for name in ("m1", "m2")}
    hosts["m2"].scripts.insert(0, when("restore-*/old", Answer(stdout=b"other 0123456789ab\n")))
    prepared, pool = a_site(hosts, root=tmp_path)
    with pool:
        with pytest.raises(PreflightError, match="nothing was changed") as refused:
            etcd_recover.refuse_unready(prepared, pool)
        assert refused.value.problems[0].where == "m2"
        assert refused.value.hint == "With its snapshot, to today's masters: invoke etcd.restore SNAPSHOT --replace."
        about = Snapshot(
            cluster="lab", cluster_id="ours", etcd_cluster_id="", kubernetes="", etcd="", revision=7, keys=1, size=0, sha256="",
            quorum=False, taken="then",
        )  # fmt: skip
        database = b"x" * 512
        digest = hashlib.sha256(database).hexdigest()
        snapshots.receive(prepared.folder.snapshots / "lab-1-7.db", [database], size=512, sha256=digest, about=about, seal=True)
        with pytest.raises(PreflightError) as refused:
            etcd_recover.refuse_unready(prepared, pool)
    assert f"newest of a survivor is {prepared.folder.snapshots / 'lab-1-7.db'}, taken then" in refused.value.hint
    assert not [program for host in hosts.values() for program in host.programs if program.startswith("systemctl")]


def test_who_says_no_is_told_what_was_started_and_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_recover, "STILL_S", 0.0)
    for runs, said in ((False, "etcd was started on m2 and stopped on m1, m3, m4, m5, without data."), (True, "")):
        prepared, pool = a_site({"m2": a_host("m2", db_bytes=1, revision=7, runs=runs)})
        with pool:
            assert etcd_recover.choose(prepared, pool)[1].endswith(said)
            assert bool(said) is not runs
