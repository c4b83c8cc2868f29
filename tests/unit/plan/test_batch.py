"""Changes become steps: what may go together does, the order stays, and only who has a payload reads it. Behaviour on a real shell: tests/local."""

from __future__ import annotations

from kbootstrap.model.plan import Action, Change
from kbootstrap.model.resource import Directory, File, User
from kbootstrap.plan import batch

TO_NOBODY = "exec </dev/null\n"


def a_file(name: str, content: bytes = b"x", action: Action = Action.CREATE, **more: object) -> Change:
    resource = File(name=name, content=content, **more)  # type: ignore[arg-type]
    return Change(host="m1", key=name, action=action, reason="", commands=f"put {name}\n", payload=content, resource=resource)


def a_directory(name: str, action: Action = Action.CREATE) -> Change:
    return Change(host="m1", key=name, action=action, reason="", commands=f"mkdir {name}\n", resource=Directory(name=name))


A_USER = Change(host="m1", key="user/x", action=Action.CREATE, reason="", commands="useradd x\n", resource=User(name="x"), deadline_s=7)


def ids(*changes: Change) -> list[str]:
    return [name for name, _, _ in batch.steps(changes)]


def test_neighbours_of_one_kind_go_together_in_their_order() -> None:
    changes = (A_USER, a_directory("/a"), a_directory("/b"), a_file("/a/1"), a_file("/a/2"), a_file("/a/3"), A_USER, a_file("/z"))
    assert ids(*changes) == ["user/x", "2 directories", "3 files", "user/x", "/z"]


def test_what_replaces_something_goes_alone() -> None:
    assert ids(a_file("/a"), a_file("/b", action=Action.UPDATE), a_file("/c"), a_directory("/d"), a_directory("/e", Action.UPDATE)) == [
        "/a", "/b", "/c", "/d", "/e",
    ]  # fmt: skip


def test_only_who_has_a_payload_sees_standard_input() -> None:
    steps = batch.steps([A_USER, a_directory("/a"), a_directory("/b"), a_file("/1"), a_file("/2"), A_USER, a_file("/3"), a_file("/empty", b"")])
    assert [name for name, text, _ in steps if TO_NOBODY not in text] == ["2 files", "/3"]


def test_each_keeps_its_deadline_and_a_group_has_more_time_than_one() -> None:
    assert [deadline_s for _, _, deadline_s in batch.steps([A_USER, a_file("/1"), a_file("/2")])] == [7, 62.0]


def test_a_group_reads_as_many_bytes_as_its_payloads_have() -> None:
    ((_, text, _),) = batch.steps([a_file("/1", b"12345"), a_file("/2", b"1")])
    assert text.index("head -c 5 > /.1.kb-new") < text.index("head -c 1 > /.2.kb-new")


def test_a_first_installation_is_sorted_into_large_groups() -> None:
    changes = (a_directory("/a"), a_file("/a/1"), A_USER, a_directory("/b"), a_file("/b/1"), a_file("/c", action=Action.UPDATE))
    assert [c.key for c in batch.in_kinds(changes)] == ["user/x", "/c", "/a", "/b", "/a/1", "/b/1"]
