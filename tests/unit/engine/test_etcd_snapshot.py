"""Which member is asked for a snapshot."""

from __future__ import annotations

import pytest

from kbootstrap.engine.etcd_snapshot import choose
from kbootstrap.report.etcd import Alarm, EtcdStatus, Member


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
