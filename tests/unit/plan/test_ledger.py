"""What a host remembers of us: the first «before» stays, a damaged text is refused, equal ledgers are equal bytes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kbootstrap.catalog import paths
from kbootstrap.errors import PreflightError
from kbootstrap.model.facts import Facts, Observed
from kbootstrap.model.plan import Action, Change
from kbootstrap.model.resource import Binary, Blob, Directory, File, Resource, Service, Swap, Sysctl, User
from kbootstrap.plan.ledger import Ledger, backup, forget, parse, record
from kbootstrap.resources import service
from kbootstrap.resources.stat import Stat

EMPTY = Ledger(cluster_id="c1", cluster="lab", version="0.1.0")


def change(resource: Resource | None, action: Action = Action.UPDATE, *, key: str = "", before: str | None = None) -> Change:
    return Change(host="m1", key=key or (resource.key if resource else ""), action=action, reason="", commands="", resource=resource, before=before)


def seen(**kinds: Any) -> Observed:
    return Observed(host="m1", facts=Facts(), kinds=kinds)


def test_it_survives_the_way_to_the_host_and_back() -> None:
    entries: dict[str, dict[str, Any]] = {"/b": {"kind": "file", "before": None}, "/a": {"kind": "file", "before": "/x"}}
    full = replace(EMPTY, entries=entries)
    assert parse(full.dump().decode(), "m1") == full
    turned = replace(EMPTY, entries={key: entries[key] for key in ("/a", "/b")})
    assert turned.dump() == full.dump()


def test_no_text_is_an_empty_ledger() -> None:
    assert parse("", "m1").empty
    assert parse(" \n", "m1") == Ledger()
    assert not EMPTY.empty


DAMAGED = {
    "cut": EMPTY.dump().decode()[:-9],
    "not JSON": "\0\0\0",
    "a list": "[]",
    "a number": "5",
    "null": "null",
    "no id": '{"cluster": "lab", "version": "0", "entries": {}}',
    "entries are a list": json.dumps({"cluster_id": "c", "cluster": "l", "version": "0", "entries": []}),
    "an entry is a text": json.dumps({"cluster_id": "c", "cluster": "l", "version": "0", "entries": {"/etc/x": "file"}}),
    "an entry without kind": json.dumps({"cluster_id": "c", "cluster": "l", "version": "0", "entries": {"/etc/x": {"before": None}}}),
    "an entry without before": json.dumps({"cluster_id": "c", "cluster": "l", "version": "0", "entries": {"/etc/x": {"kind": "file"}}}),
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_one_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(PreflightError, match="is damaged") as caught:
        parse(text, "m1")
    assert caught.value.host == "m1"
    assert paths.LEDGER in caught.value.message + caught.value.hint


BLOB = Blob(sha256="a" * 64, size=1, path=Path("x"))
RUNNING = service.Seen(state={"UnitFileState": "enabled", "ActiveState": "active"}, started={}, now={})


@pytest.mark.parametrize(
    ("resource", "found", "before"),
    [
        (File(name="/etc/x", content=b""), None, None),
        (File(name="/etc/x", content=b""), Stat(type="regular file", mode=0o644, owner="root:root"), backup("/etc/x")),
        (Binary(name="/bin/x", blob=BLOB), object(), backup("/bin/x")),
        (Directory(name="/d"), None, None),
        (Directory(name="/d"), Stat(type="directory", mode=0o711, owner="a:b"), {"mode": "0711", "owner": "a:b"}),
        (User(name="etcd"), None, None),
        (User(name="etcd"), "/home/etcd", True),
        (Service(name="x.service", inputs={}), None, None),
        (Swap(name="swap"), ("on /dev/sda2", "on /dev/zram0 100", "fstab UUID=1 none swap sw 0 0"), ["/dev/sda2", "/dev/zram0 100"]),
        (Swap(name="swap"), ("fstab UUID=1 none swap sw 0 0",), []),
        (Service(name="x.service", inputs={}), RUNNING, {"enabled": True, "active": True}),
    ],
)
def test_it_says_what_was_there_before(resource: Resource, found: Any, before: Any) -> None:
    observed = seen(**{resource.kind: {} if found is None else {resource.name: found}})
    assert record(EMPTY, [change(resource)], observed).entries == {resource.key: {"kind": resource.kind, "before": before}}


def test_of_a_kernel_setting_the_former_value() -> None:
    resource = Sysctl(name="net.ipv4.ip_forward", value="1")
    observed = seen(sysctl={resource.name: "0"})
    assert record(EMPTY, [change(resource, before="0")], observed).entries == {resource.key: {"kind": "sysctl", "before": "0"}}


def test_the_first_before_stays() -> None:
    resource = File(name="/etc/x", content=b"")
    first = record(EMPTY, [change(resource, Action.CREATE)], seen(file={}))
    there = seen(file={"/etc/x": Stat(type="regular file", mode=0o644, owner="root:root")})
    assert record(first, [change(resource)], there) == first


def test_what_is_not_a_resource_is_not_remembered() -> None:
    assert record(EMPTY, [change(None, Action.RUN, key="systemd/daemon-reload")], seen()) == EMPTY


def test_only_deletions_are_forgotten() -> None:
    full = Ledger(cluster_id="c1", entries={key: {"kind": "file", "before": None} for key in ("/a", "/b", "/c")})
    left = forget(full, [change(None, Action.DELETE, key="/a"), change(None, Action.UPDATE, key="/b")])
    assert set(left.entries) == {"/b", "/c"}
    assert forget(full, []) == full


def test_every_path_has_a_backup_of_its_own() -> None:
    assert len({backup(path) for path in ("/etc/x", "/etc/y", "/etc/x ", "/ETC/x")}) == 4
    assert backup("/etc/x").startswith(f"{paths.BEFORE}/")


def test_a_role_by_itself_keeps_what_it_replaced_where_no_cluster_removes_it() -> None:
    role = replace(EMPTY, path=paths.role_ledger("chrony"))
    there = seen(file={"/etc/x": Stat(type="regular file", mode=0o644, owner="root:root")})
    kept = record(role, [change(File(name="/etc/x", content=b""))], there).entries["/etc/x"]["before"]
    assert kept == role.backup("/etc/x")
    assert kept.startswith(f"{paths.ROLE_BEFORE}/")
    assert not any(f"{path}/".startswith(f"{paths.STATE}/") for path in (paths.ROLE_BEFORE, paths.ROLE_LEDGERS))
