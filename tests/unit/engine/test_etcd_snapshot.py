"""Which member is asked for a snapshot, and what is kept of those before."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from kbootstrap.engine.etcd_snapshot import Taken, choose, snapshot
from kbootstrap.engine.request import Request
from kbootstrap.model.events import silent
from kbootstrap.remote.pool import Pool
from kbootstrap.report.etcd import Alarm, EtcdStatus, Member
from kbootstrap.store import snapshots
from kbootstrap.store.folder import Folder
from kbootstrap.testing.fake_host import Answer, FakeHost, reading, when


def member(host: str, *, leader: str = "1", applied: int = 10, learner: bool = False, reason: str = "") -> Member:
    return Member(host=host, id=host[1:], leader=leader, applied=applied, learner=learner, reason=reason)


def status(*members: Member, alarms: tuple[Alarm, ...] = ()) -> EtcdStatus:
    return EtcdStatus(cluster="prod", members=members, known=(), alarms=alarms)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (status(member("m1"), member("m2"), member("m3", applied=12)), "m3"),
        (status(member("m1"), member("m2", reason="down"), member("m3", leader="")), "m1"),
        (status(member("m1"), member("m2", learner=True)), "m1"),
        (status(member("m1"), member("m2", applied=99), member("m3"), alarms=(Alarm(member="2", kind="CORRUPT"),)), "m3"),
        (status(member("m1"), member("m2"), alarms=(Alarm(member="2", kind="NOSPACE"),)), "m2"),
        (status(member("m1", leader=""), member("m2", reason="down")), None),
    ],
    ids=["newest-follower", "leader-alone", "no-learner", "not-corrupt", "full-is-fit", "no-quorum"],
)
def test_a_follower_that_is_up_to_date(found: EtcdStatus, wanted: str | None) -> None:
    chosen = choose(found)
    assert (chosen.host if chosen else None) == wanted


def test_the_one_that_the_last_upgrade_began_with_stays(tmp_path: Path) -> None:
    folder = Folder(root=tmp_path / "lab")
    folder.root.mkdir()
    folder.cluster_yml.write_text('cluster: lab\nkubernetes: "1.36.3"\nhosts: {masters: {m1: {address: 10.77.0.11}}}\n')
    folder.state.write_text("cluster_id: ours\npod_ranges: {m1: 10.244.0.0/24}\n")
    database = b"x" * 1024
    whole = database + hashlib.sha256(database).digest()
    asked = json.dumps([{"Endpoint": "x", "Status": {"header": {"member_id": 1, "cluster_id": 1}, "leader": 1}}]).encode()

    def taken(revision: int, keep: int = 0) -> Taken:
        about = json.dumps({"hash": 1, "revision": revision, "totalKey": 3, "totalSize": 1024, "version": "3.6.0"})
        saved = f"{about}\n{len(whole)} {hashlib.sha256(whole).hexdigest()}\n".encode() + whole
        host = FakeHost(host="m1", scripts=[when("snapshot save", Answer(stdout=saved)), reading({"status": (0, asked)})])
        request = Request(folder=folder, listener=silent, connect=lambda prepared: Pool(prepared.spec.hosts, lambda _: host))
        return snapshot(request, keep=keep)

    before, between = taken(1), taken(2)
    rollout = f"rollout: {{origin: 1.35.1, target: 1.36.3, done: true, snapshot: {before.path}}}\n"
    folder.state.write_text(folder.state.read_text() + rollout)
    last = taken(3, keep=1)
    assert last.removed == (between.path,)
    assert sorted(folder.snapshots.glob("*.db")) == sorted([before.path, last.path])
    assert snapshots.check(last.path).sidecar == last.snapshot
