"""One host, one stage: what changes, in which order, and what does not restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kbootstrap.catalog import paths
from kbootstrap.model.desired import Desired, Wanted
from kbootstrap.model.facts import Facts, Observed
from kbootstrap.model.plan import Action, Change
from kbootstrap.model.resource import Binary, Blob, ContainerImage, Directory, File, Resource, Service, User
from kbootstrap.plan.compare import RELOAD, compare_stage, stale
from kbootstrap.plan.ledger import Ledger, backup
from kbootstrap.resources import binary, service
from kbootstrap.resources.stat import Stat

UNIT = paths.unit("x.service")
BLOB = Blob(sha256="a" * 64, size=1, path=Path("x"))
UNIT_FILE = File(name=UNIT, content=b"[Unit]\n", mode=0o600)
CONFIG = File(name="/etc/x", content=b"wanted\n")
TOOL = Binary(name="/bin/x", blob=BLOB)
SERVICE = Service(name="x.service", inputs={CONFIG.name: CONFIG.sha256, UNIT: UNIT_FILE.sha256}, binaries=(TOOL.name,), serial=True)
ALL: tuple[Resource, ...] = (User(name="x"), Directory(name="/d"), TOOL, CONFIG, UNIT_FILE, SERVICE, ContainerImage(name="i:1", blob=BLOB))


def stat(file: File, **more: Any) -> Stat:
    return Stat(**{"type": "regular file", "mode": file.mode, "owner": file.owner, "sha256": file.sha256, **more})


def running(*, reload: str = "no", active: str = "active") -> service.Seen:
    started = {CONFIG.name: CONFIG.sha256, UNIT: UNIT_FILE.sha256, TOOL.name: "1 1 1 1"}
    state = {"UnitFileState": "enabled", "ActiveState": active, "NeedDaemonReload": reload}
    return service.Seen(state=state, started=started, now={TOOL.name: "1 1 1 1"})


def host(**changed: dict[str, Any]) -> Observed:
    """Everything as wanted, but for *changed*."""
    kinds: dict[str, dict[str, Any]] = {
        "user": {"x": "/nonexistent"},
        "directory": {"/d": Stat(type="directory", mode=0o755, owner="root:root")},
        "binary": {TOOL.name: binary.Seen(sha256=BLOB.sha256, stat=Stat(type="regular file", mode=0o755, owner="root:root"))},
        "file": {CONFIG.name: stat(CONFIG), UNIT: stat(UNIT_FILE)},
        "service": {"x.service": running()},
        "image": {"i:1": True},
    }
    return Observed(host="m1", facts=Facts(), kinds={kind: {**found, **changed.get(kind, {})} for kind, found in kinds.items()})


def compared(observed: Observed, ledger: Ledger | None = None) -> tuple[Change, ...]:
    return compare_stage("m1", Wanted(resources=ALL), observed, ledger or Ledger())


def keys(changes: tuple[Change, ...]) -> list[str]:
    return [change.key for change in changes]


def test_a_host_that_is_as_wanted_needs_nothing() -> None:
    assert compared(host()) == ()


def test_a_bare_host_gets_all_in_order_with_one_reload_and_the_images_last() -> None:
    bare = Observed(host="m1", facts=Facts(), kinds={})
    assert keys(compared(bare)) == ["user/x", "/d", "/bin/x", "/etc/x", UNIT, RELOAD, "service/x.service", "image/i:1"]


def test_modes_restart_nothing_and_reload_nothing() -> None:
    observed = host(file={CONFIG.name: stat(CONFIG, mode=0o666), UNIT: stat(UNIT_FILE, mode=0o644)})
    assert keys(compared(observed)) == ["/etc/x", UNIT]


def test_a_file_that_is_put_back_restarts_nothing() -> None:
    assert keys(compared(host(file={CONFIG.name: stat(CONFIG, sha256="b" * 64)}))) == ["/etc/x"]


def test_a_unit_file_that_is_put_back_is_read_again() -> None:
    assert keys(compared(host(file={UNIT: stat(UNIT_FILE, sha256="b" * 64)}))) == [UNIT, RELOAD]


def test_a_unit_file_that_systemd_has_not_read_is_read() -> None:
    assert RELOAD in keys(compared(host(service={"x.service": running(reload="yes")})))


def test_a_new_binary_restarts_its_service_and_only_a_running_serial_one_is_disruptive() -> None:
    other = {TOOL.name: binary.Seen(sha256="b" * 64, stat=Stat(type="regular file", mode=0o755, owner="root:root"))}
    tool, restart = compared(host(binary=other))
    assert (tool.key, tool.disruptive) == ("/bin/x", False)
    assert (restart.key, restart.disruptive) == ("service/x.service", True)
    (_, start) = compared(host(binary=other, service={"x.service": running(active="inactive")}))
    assert not start.disruptive


def test_what_an_earlier_stage_brings_restarts_it_too() -> None:
    earlier = compare_stage("m1", Wanted(resources=(TOOL,)), host(binary={TOOL.name: None}), Ledger())
    changes = compare_stage("m1", Wanted(resources=(SERVICE,)), host(), Ledger(), earlier)
    assert [(c.key, c.reason) for c in changes] == [("service/x.service", "restart: new /bin/x")]


def keeping(change: Change) -> bool:
    return backup(change.key) in change.commands


def test_what_is_foreign_is_kept_before_it_is_replaced_and_ours_is_not() -> None:
    observed = host(file={CONFIG.name: stat(CONFIG, sha256="b" * 64)})
    (foreign,) = compared(observed)
    assert keeping(foreign)
    (ours,) = compared(observed, Ledger(cluster_id="c", entries={"/etc/x": {"kind": "file", "before": None}}))
    assert not keeping(ours)
    (perhaps,) = compared(observed, Ledger(cluster_id="c", entries={"/etc/x": {"kind": "file", "before": backup("/etc/x")}}))
    assert keeping(perhaps), "the ledger is written before the copy is made"
    assert perhaps.commands.startswith(f"mkdir -p -m 0700 {paths.BEFORE}; [ -e {backup('/etc/x')} ]"), "and made once"


def test_what_is_new_keeps_nothing() -> None:
    (change,) = compared(host(file={CONFIG.name: None}))
    assert change.action is Action.CREATE
    assert not keeping(change)


def test_what_no_role_declares_goes_units_first_and_data_never() -> None:
    desired = Desired(hosts={"m1": {"HOSTS": Wanted(resources=ALL)}})
    kinds = {"/etc/old": "file", paths.unit("old.service"): "file", "service/old.service": "service"}
    kinds |= {"/var/lib/old": "directory", "user/old": "user", "data/x": "data"}
    known: dict[str, Any] = {key: {"kind": kind, "before": None} for key, kind in kinds.items()} | {"/bin/old": {"kind": "binary", "before": "/kept"}}
    known |= {resource.key: {"kind": resource.kind, "before": None} for resource in ALL}
    changes = stale("m1", desired, Ledger(cluster_id="c", entries=known))
    assert keys(changes) == ["service/old.service", "/etc/old", paths.unit("old.service"), "/bin/old", RELOAD]
    assert {change.action for change in changes[:-1]} == {Action.DELETE}
    by_key = {change.key: change.commands for change in changes}
    assert "systemctl disable --now old.service" in by_key["service/old.service"]
    assert by_key["/etc/old"] == "rm -f -- /etc/old\n"
    assert by_key["/bin/old"] == "[ ! -e /kept ] || mv -fT -- /kept /bin/old\n"


def test_a_ledger_of_what_is_wanted_deletes_nothing() -> None:
    desired = Desired(hosts={"m1": {"HOSTS": Wanted(resources=ALL)}})
    known = {resource.key: {"kind": resource.kind, "before": None} for resource in ALL}
    assert stale("m1", desired, Ledger(cluster_id="c", entries=known)) == ()
