"""The works as data: what every host shall have, whoever brings it."""

from __future__ import annotations

from pathlib import Path

from bench.contestants import CONTESTANTS
from bench.servers import Place
from bench.stand import Job
from bench.verify import lacks
from bench.works import WORKS, Program, Template, Work

PLACE = "h1"
JOB = Job(argv=("true",), cwd=Path("/"))


def test_every_work_can_be_done_by_everybody() -> None:
    assert {work.id for work in (make() for make in WORKS.values())} == set(WORKS)
    assert all(set(contestant.works) == set(WORKS) for contestant in CONTESTANTS.values())


def test_files_differ_by_host() -> None:
    work = WORKS["W1"]()
    one, other = work.contents("h1"), work.contents("h2")
    assert len(one) == 20
    assert all(one[path] != other[path] for path in one)
    assert b"setting11 = 77 of h1" in one["/opt/bench/etc/service00.conf"][0]


def test_a_changed_binary_is_another_of_the_same_size() -> None:
    program = Program(path="/x", size=100_000)
    work = Work(id="W", title="", program=program)
    changed = work.changed().program
    assert changed is not None
    assert program.content() != changed.content()
    assert len(program.content()) == len(changed.content()) == 100_000


def test_the_roles_are_the_projects_own() -> None:
    paths = set(WORKS["W4"]().contents(PLACE))
    assert {"/etc/containerd/config.toml", "/etc/sysctl.d/90-kbootstrap-host.conf"} <= paths


def test_what_is_not_there_or_differs_is_told(tmp_path: Path) -> None:
    work = Work(id="W", title="", directories=(("/d", 0o750),), templates=(Template(path="/d/a", text="@name@\n"), Template(path="/d/b", text="b")))
    place = Place(name=PLACE, port=1, root=tmp_path)
    assert lacks(work, JOB, (place,), "") == ["h1: /d is not there", "h1: /d/a is not there", "h1: /d/b is not there"]
    (tmp_path / "d").mkdir(mode=0o750)
    (tmp_path / "d/a").write_text("h1\n")
    (tmp_path / "d/b").write_text("c")
    assert lacks(work, JOB, (place,), "") == ["h1: /d/b differs"]
    (tmp_path / "d/b").write_text("b")
    assert lacks(work, JOB, (place,), "") == []
