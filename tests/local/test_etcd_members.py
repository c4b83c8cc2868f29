"""The texts by which a member joins, run by a real shell against a members' list that is a file: whatever an earlier run left, they go on from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kbootstrap.catalog import paths
from kbootstrap.plan import etcd_members_sh as texts
from kbootstrap.remote.local import LocalConnection
from kbootstrap.render.etcd import peer_url
from kbootstrap.testing.builders import a_cluster

THREE = a_cluster(3, 0)
M1, M2, M3 = THREE.masters

ETCDCTL = """\
#!/bin/sh
for a; do case "$a" in --peer-urls=*) url=${{a#*=}} ;; esac; done
while [ "${{1#--}}" != "$1" ]; do shift; done
echo "$*" >>{here}/asked
[ ! -e {here}/silent ] || {{ echo '{{"level":"warn"}}'; echo 'context deadline exceeded'; exit 1; }}
case "$1 $2" in
'member list') cat {here}/list ;;
'member add')
  ! grep -q 'true$' {here}/list || {{ echo 'too many learner members in cluster'; exit 1; }}
  echo "f$(wc -l <{here}/asked), unstarted, , $url, , true" >>{here}/list ;;
'member remove') sed -i "/^$3, /d" {here}/list ;;
'member promote')
  [ ! -e {here}/behind ] || {{ rm {here}/behind; echo 'can only promote a learner member which is in sync with leader'; exit 1; }}
  sed -i "/^$3, /s/true$/false/" {here}/list ;;
esac
"""
SYSTEMD = """\
systemctl() {{ echo "$*" >>{here}/units
  [ "$1" != start ] || [ ! -e {here}/startable ] || sed -i 's|unstarted, , \\(.*{peer}\\), ,|started, m2, \\1, x,|' {here}/list; }}
journalctl() {{ echo 'its last words'; }}
"""


class Place:
    """A host and its cluster in a folder."""

    def __init__(self, here: Path) -> None:
        self.here = here
        (here / "bin").mkdir()
        (here / "bin/etcdctl").write_text(ETCDCTL.format(here=here))
        (here / "bin/etcdctl").chmod(0o755)
        (here / "data").mkdir()
        self.list = here / "list"
        self.order, self.flag, self.wal = here / "run/etcd-initial.env", here / "state/etcd-learner", here / "data/member/wal"

    def row(self, number: int, *, learner: bool = False, started: bool = True) -> str:
        host = THREE.masters[number - 1]
        name, client = (host.name, "https://x:2379") if started else ("", "")
        return f"a{number}, {'started' if started else 'unstarted'}, {name}, {peer_url(host)}, {client}, {'true' if learner else 'false'}\n"

    def run(self, text: str) -> tuple[int, str]:
        places = ((paths.BIN, "bin"), (paths.ETCD_DATA, "data"), (paths.STATE, "state"), (paths.RUN, "run"))
        for path, name in places:
            text = text.replace(path, str(self.here / name))
        text = text.replace("date +%s) + 60", "date +%s) + 1").replace(f"-lt {texts.START_S}", "-lt 1")
        running = LocalConnection().run(f"set -e\n{SYSTEMD.format(here=self.here, peer=peer_url(M2))}{text}")
        said = b"\n".join(running.lines()).decode()
        return running.finish().exit_code, said

    def join(self) -> tuple[int, str]:
        return self.run(texts.join(THREE, M2, [M1, M3]))

    def promote(self) -> tuple[int, str]:
        return self.run(texts.promote(M2, [M1, M3]))

    def names(self) -> list[str]:
        """Name (or none) and state of each member, in the list's order."""
        fields = [line.split(", ") for line in self.list.read_text().splitlines()]
        return [f"{each[2] or '?'} {'learner' if each[5] == 'true' else 'voter'}" for each in fields]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    found = Place(tmp_path)
    found.list.write_text(found.row(1) + found.row(3))
    yield found


def test_it_is_added_and_told_who_is_there_already(place: Place) -> None:
    assert place.join() == (0, "")
    assert place.names() == ["m1 voter", "m3 voter", "? learner"]
    assert place.order.read_text().splitlines() == [
        f"ETCD_INITIAL_CLUSTER=m1={peer_url(M1)},m3={peer_url(M3)},m2={peer_url(M2)}",
        "ETCD_INITIAL_CLUSTER_STATE=existing",
        f"ETCD_INITIAL_CLUSTER_TOKEN={THREE.name}",
    ]
    assert place.flag.exists()


def test_who_was_added_by_an_earlier_run_is_not_added_twice(place: Place) -> None:
    place.join()
    before = place.list.read_text()
    place.order.unlink()
    assert place.join() == (0, "")
    assert place.list.read_text() == before
    assert place.order.exists()


def test_a_member_whose_data_is_lost_is_removed_before(place: Place) -> None:
    place.list.write_text(place.row(1) + place.row(2) + place.row(3))
    assert place.join() == (0, "")
    assert place.names() == ["m1 voter", "m3 voter", "? learner"]
    assert "member remove a2" in (place.here / "asked").read_text()


def test_a_member_that_is_there_keeps_its_data_and_gets_no_order(place: Place) -> None:
    place.list.write_text(place.row(1) + place.row(2, learner=True))
    place.wal.mkdir(parents=True)
    assert place.join() == (0, "")
    assert place.names() == ["m1 voter", "m2 learner"]
    assert place.wal.exists()
    assert not place.order.exists()


def test_data_of_a_member_that_was_removed_is_kept_aside(place: Place) -> None:
    place.wal.mkdir(parents=True)
    assert place.join() == (0, "")
    assert not place.wal.exists()
    assert [path.name.endswith("-removed") for path in (place.here / "data").iterdir()] == [True]
    assert place.names() == ["m1 voter", "m3 voter", "? learner"]


def test_a_learner_of_no_master_makes_room_and_one_of_a_master_does_not(place: Place) -> None:
    place.list.write_text(place.row(1) + "b7, unstarted, , https://10.9.9.9:2380, , true\n")
    assert place.join() == (0, "")
    assert place.names() == ["m1 voter", "? learner"]
    place.list.write_text(place.row(1) + place.row(3, learner=True))
    code, said = place.join()
    assert (code, said) == (1, "etcd does not add it: too many learner members in cluster")
    assert place.names() == ["m1 voter", "m3 learner"]


def test_without_an_answer_nothing_is_ordered(place: Place) -> None:
    (place.here / "silent").touch()
    assert place.join() == (1, "etcd does not add it: context deadline exceeded")
    assert not place.order.exists()


def test_it_votes_once_it_has_caught_up(place: Place) -> None:
    place.join()
    (place.here / "startable").touch()
    (place.here / "behind").touch()
    assert place.promote() == (0, "")
    assert place.names() == ["m1 voter", "m3 voter", "m2 voter"]
    assert not place.flag.exists()
    assert place.promote() == (0, "")


def test_who_does_not_start_is_removed_again(place: Place) -> None:
    place.join()
    code, said = place.promote()
    assert code == 1
    assert said.splitlines() == [
        "as a learner it did not catch up: it has not started",
        "its last words",
        "It is no member any more; the others are as before.",
    ]
    assert place.names() == ["m1 voter", "m3 voter"]
    assert not place.flag.exists()
    assert not place.order.exists()
    assert "stop etcd.service" in (place.here / "units").read_text()


def test_while_nobody_answers_it_stays_as_it_is(place: Place) -> None:
    place.join()
    (place.here / "silent").touch()
    code, said = place.promote()
    assert code == 1
    assert said.splitlines()[0] == "as a learner it did not catch up: context deadline exceeded"
    assert place.names() == ["m1 voter", "m3 voter", "? learner"]
    assert place.flag.exists()


def test_removing_is_done_once_and_says_what_etcd_says(place: Place) -> None:
    assert place.run(texts.remove([M1], "a3")) == (0, "")
    assert place.names() == ["m1 voter"]
    assert place.run(texts.remove([M1], "a3")) == (0, "")
    (place.here / "silent").touch()
    assert place.run(texts.remove([M1], "a1"))[0] == 1
    assert place.names() == ["m1 voter"]
