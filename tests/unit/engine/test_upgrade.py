"""Another version: where a way begins, what is kept of it and when, and that hosts change under their locks alone. Hosts answer as told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from kbootstrap import inventory
from kbootstrap.catalog import paths
from kbootstrap.engine import api, etcd_snapshot, health, node_drain, run, upgrade, upgrade_plan, upgrade_way, workload
from kbootstrap.engine.contact import contact
from kbootstrap.engine.etcd_snapshot import Taken
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.request import Request
from kbootstrap.engine.upgrade_way import Asked, Outcome, Way
from kbootstrap.errors import KbError, LockError, PreflightError, Problem, UsageError
from kbootstrap.model.desired import Desired, Wanted
from kbootstrap.model.events import silent
from kbootstrap.model.facts import Facts, Observed
from kbootstrap.model.plan import Action, Change, HostPlan, Plan, Stage
from kbootstrap.model.resource import Binary, Blob, File
from kbootstrap.plan import upgrade as ways
from kbootstrap.plan.ledger import Ledger
from kbootstrap.plan.versions import KUBERNETES, Versions
from kbootstrap.remote import lock
from kbootstrap.remote.connection import Running
from kbootstrap.remote.pool import Pool
from kbootstrap.report.upgrade import Rollout as Shown
from kbootstrap.store import state
from kbootstrap.store.folder import Folder
from kbootstrap.store.state import Rollout, State
from kbootstrap.testing.fake_host import Answer, FakeHost, FakeRunning, changing, when

OLD, NEW, PATCH = "1.35.4", "1.36.1", "1.36.3"
INVENTORY = f"""\
cluster: lab
kubernetes: "{OLD}"
hosts:
  masters: {{m1: {{address: 10.0.0.11}}}}
  workers: {{w1: {{address: 10.0.0.21}}}}
"""
MADE = Rollout(origin=OLD, target=NEW, snapshot="monday.db")


def seen(*servers: str, nodes: str = OLD, w3: str = "") -> Versions:
    masters = {f"m{n}": {"kube-apiserver": each, "kubelet": nodes} for n, each in enumerate(servers, 1)}
    return masters | {"w1": {"kubelet": nodes}} | ({"w3": {"kubelet": w3}} if w3 else {})


@pytest.mark.parametrize(
    ("record", "runs", "target", "way"),
    [
        (None, seen(OLD), NEW, Way(record=Rollout(origin=OLD, target=NEW))),
        (MADE, seen(NEW, OLD), NEW, Way(record=MADE, begun=True, first=False)),
        (MADE, seen(OLD), NEW, Way(record=Rollout(origin=OLD, target=NEW), first=False)),
        (MADE, seen(NEW, nodes=NEW, w3=OLD), NEW, Way(record=MADE, begun=True, first=False)),
        (replace(MADE, done=True), seen(NEW, nodes=NEW), NEW, Way(record=replace(MADE, done=True), first=False)),
        (replace(MADE, done=True), seen(OLD), NEW, Way(record=Rollout(origin=OLD, target=NEW))),
        (replace(MADE, done=True), seen(NEW, nodes=NEW), PATCH, Way(record=Rollout(origin=NEW, target=PATCH))),
        (MADE, seen(NEW), PATCH, Way(record=Rollout(origin=NEW, target=PATCH))),
        (None, seen(NEW, nodes=NEW), NEW, Way(record=Rollout(origin=NEW, target=NEW), first=False)),
        (None, seen(NEW, nodes=NEW, w3=OLD), NEW, Way(record=Rollout(origin=NEW, target=NEW), first=False)),
        (replace(MADE, origin=NEW, target=OLD, back=True), seen(OLD, NEW), NEW, Way(record=Rollout(origin=OLD, target=NEW))),
    ],
    ids=[
        "the first",
        "half-way",
        "nobody came to run it: etcd is kept anew, what hosts keep of a turn stays",
        "a worker was left out",
        "drift, later",
        "all were taken back by other means",
        "the next",
        "another target half-way: the servers wrote what etcd has",
        "drift, no record",
        "no record, and a worker was left out",
        "forward from half a way back",
    ],
)
def test_where_a_way_begins(record: Rollout | None, runs: Versions, target: str, way: Way) -> None:
    assert upgrade.forward(record, runs, target) == way


def test_the_way_back_goes_on_and_half_an_upgrade_need_not_be_well() -> None:
    back = Rollout(origin=NEW, target=OLD, back=True, snapshot="monday.db")
    assert upgrade.backward(MADE) == Way(record=back, begun=True)
    assert upgrade.backward(replace(MADE, done=True)) == Way(record=back)
    assert upgrade.backward(back) == Way(record=back, begun=True, first=False)


def test_etcd_is_kept_once_and_only_before_another_version() -> None:
    assert Rollout(origin=OLD, target=NEW).unkept
    assert [each.unkept for each in (MADE, Rollout(origin=NEW, target=NEW), Rollout(origin=NEW, target=OLD, back=True))] == [False] * 3


@dataclass(kw_only=True)
class Watched(FakeHost):
    """Tells *told* of its lock and of each step."""

    told: list[str] = field(default_factory=list)
    taken: bool = False

    def run(self, program: str, *, payload: Iterable[bytes | memoryview] = (), deadline_s: float = 60.0, idle_s: float = 0.0) -> Running:
        if lock.LOCK in program and lock.TAKEN.decode() in program:
            if self.taken:
                return FakeRunning(Answer(exit_code=75, stdout=b""))
            self.told.append("lock")
            return _Held(self.told, payload)
        self.told += [name for name in ("offer", "begin", "keep", "finished", "tidy") if f"kb_change {name} " in program]
        return super().run(program, payload=payload, deadline_s=deadline_s, idle_s=idle_s)


class _Held(FakeRunning):
    """Ends with its stdin, as the shell that holds a lock does."""

    def __init__(self, told: list[str], stdin: Iterable[bytes | memoryview]) -> None:
        super().__init__(Answer(stdout=lock.TAKEN + b"\n"))
        self._told, self._stdin = told, stdin

    def lines(self) -> Iterator[bytes]:
        yield from super().lines()
        for _ in self._stdin:
            pass

    def close(self) -> None:
        self._told.append("unlock")


CHANGE = Change(host="m1", key="/etc/x", action=Action.UPDATE, reason="", commands="true\n", resource=File(name="/etc/x", content=b""))
PLAN = Plan(stages=(Stage(name="HOSTS", hosts=(HostPlan(host="m1", changes=(CHANGE,)),)),))
NOTHING = Plan(stages=())


class Site:
    """One master, one worker. *plans* are what the looks find, one after the other; *runs* what the hosts say that they run."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = Folder(root=root)
        self.folder.cluster_yml.write_text(INVENTORY)
        state.save(self.folder.state, State(cluster_id="c"))
        self.hosts = {name: Watched(host=name) for name in ("m1", "w1")}
        self.plans: list[Plan] = []
        self.left_out: tuple[Problem, ...] = ()
        self.flags = Answer()
        self.runs(OLD)
        for module, name, other in (
            (upgrade_way, "prepare", self._prepare),
            (run, "look", self._look),
            (upgrade_plan, "shown", lambda *_, **__: Shown(origin="", target="", steps=())),
            (etcd_snapshot, "take", self._take),
            (node_drain, "release", lambda *_: ()),
            (health, "settled", lambda *_: []),
            (api, "wait_ready", lambda *_, **__: []),
            (api, "apply", lambda *_: None),
            (workload, "check", lambda *_: []),
        ):
            monkeypatch.setattr(module, name, other)

    def runs(self, version: str) -> None:
        text = "".join(f"{name} Kubernetes v{version}\n" for name in KUBERNETES).encode()
        for host in self.hosts.values():
            host.scripts = [when(" --version ", Answer(stdout=text)), when("--help", self.flags), changing()]

    @property
    def record(self) -> Rollout | None:
        return state.load(self.folder.state).rollout

    @property
    def told(self) -> list[str]:
        return self.hosts["m1"].told

    def upgrade(self, target: str, *plans: Plan, **asked: Any) -> Outcome:
        self.plans = list(plans)
        return upgrade.upgrade(self._request(), target, Asked(**asked))

    def rollback(self, *plans: Plan, **asked: Any) -> Outcome:
        self.plans = list(plans)
        return upgrade.rollback(self._request(), Asked(**asked))

    def _request(self) -> Request:
        return Request(folder=self.folder, listener=silent, connect=lambda prepared: Pool(prepared.spec.hosts, lambda host: self.hosts[host.name]))

    def _prepare(self, folder: Folder, *_: Any, kubernetes: str, **__: Any) -> Prepared:
        programs = tuple(Binary(name=f"{paths.BIN}/{name}", blob=Blob(sha256="a" * 64, size=1, path=Path("x"))) for name in KUBERNETES)
        desired = Desired(hosts={name: {"WORKERS": Wanted(resources=programs)} for name in self.hosts})
        return replace(contact(folder), spec=inventory.load(folder.cluster_yml, kubernetes=kubernetes), desired=desired)

    def _look(self, *_: Any, **__: Any) -> run.Picture:
        found = {name: Observed(host=name, facts=Facts(), kinds={"blob": {}, "file": {}}) for name in self.hosts}
        known = {name: Ledger(cluster_id="c") for name in self.hosts}
        return run.Picture(observed=found, ledgers=known, findings=(), plan=self.plans.pop(0), live={}, left_out=self.left_out)

    def _take(self, known: Prepared, *_: Any) -> Taken:
        self.told.append(f"snapshot of {known.spec.kubernetes}")
        return Taken(path=self.folder.snapshots / f"{self.told.count('lock')}.db", snapshot=cast(Any, None))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(tmp_path, monkeypatch)


def text(site: Site) -> str:
    return site.folder.cluster_yml.read_text()


def test_hosts_change_under_their_locks_and_what_they_keep_goes_once_the_way_back_is_kept(site: Site) -> None:
    outcome = site.upgrade(NEW, PLAN, PLAN, NOTHING)
    assert site.told == ["lock", "offer", f"snapshot of {OLD}", "begin", "keep", "finished", "tidy", "unlock"]
    assert site.record == Rollout(origin=OLD, target=NEW, done=True, snapshot=outcome.snapshot)
    assert text(site) == INVENTORY.replace(OLD, NEW)


def test_a_refused_flag_leaves_the_former_record_and_what_hosts_keep(site: Site) -> None:
    earlier = Rollout(origin="1.34.8", target=OLD, done=True, snapshot="sunday.db")
    state.save(site.folder.state, State(cluster_id="c", rollout=earlier))
    site.flags = Answer(stdout=b"1 kubelet Error: unknown flag: --no-such-flag\n")
    site.runs(OLD)
    with pytest.raises(PreflightError, match="nothing was changed"):
        site.upgrade(NEW, PLAN, PLAN)
    assert site.told == ["lock", "offer", "tidy", "unlock"]
    assert site.record == earlier


def test_what_was_cut_off_before_anybody_ran_it_is_kept_anew_but_not_what_its_turn_replaced(site: Site) -> None:
    state.save(site.folder.state, State(cluster_id="c", rollout=MADE))
    outcome = site.upgrade(NEW, PLAN, PLAN, NOTHING)
    assert site.told == ["lock", f"snapshot of {OLD}", "keep", "finished", "tidy", "unlock"]
    assert outcome.snapshot.endswith("1.db")


def test_a_host_that_was_left_out_keeps_the_upgrade_open_and_its_snapshot(site: Site) -> None:
    site.left_out = (Problem(where="w3", what="no answer"),)
    first = site.upgrade(NEW, PLAN, PLAN, NOTHING)
    assert site.record == Rollout(origin=OLD, target=NEW, snapshot=first.snapshot)
    site.left_out = ()
    site.runs(NEW)
    again = site.upgrade(NEW, PLAN, PLAN, NOTHING)
    assert site.record == Rollout(origin=OLD, target=NEW, done=True, snapshot=first.snapshot)
    assert (again.snapshot, site.told.count(f"snapshot of {OLD}"), site.told.count("begin")) == (first.snapshot, 1, 1)


@pytest.mark.parametrize(("asked", "down", "width"), [(1, 0, 1), (1, 1, 1), (3, 0, 3), (3, 1, 2), (2, 3, 1)])
def test_a_node_that_is_down_is_one_of_those_that_may_be_away(site: Site, monkeypatch: pytest.MonkeyPatch, asked: int, down: int, width: int) -> None:
    widths, waves = list[int](), ways.waves

    def spied(*given: Any, max_unavailable: int, **more: Any) -> Any:
        widths.append(max_unavailable)
        return waves(*given, max_unavailable=max_unavailable, **more)

    monkeypatch.setattr(ways, "waves", spied)
    site.left_out = tuple(Problem(where=f"w{n}", what="no answer") for n in range(3, 3 + down))
    outcome = site.upgrade(NEW, PLAN, PLAN, NOTHING, max_unavailable=asked)
    assert set(widths) == {width}
    assert [line for line in outcome.shown.warnings if "at a time" in line] == (
        [f"{', '.join(each.where for each in site.left_out)} cannot be read and counts as unavailable: nodes go {width} at a time, not {asked}"]
        if width < asked
        else []
    )


def test_a_host_that_was_left_out_keeps_the_way_back_open(site: Site) -> None:
    state.save(site.folder.state, State(cluster_id="c", rollout=Rollout(origin=NEW, target=PATCH, done=True, snapshot="s.db")))
    site.runs(PATCH)
    site.left_out = (Problem(where="w3", what="no answer"),)
    site.rollback(PLAN, PLAN, NOTHING)
    assert site.record == Rollout(origin=PATCH, target=NEW, back=True, snapshot="s.db")
    site.left_out = ()
    site.rollback(NOTHING)
    assert site.record is None


def test_drift_in_the_version_that_runs_is_no_upgrade(site: Site) -> None:
    site.runs(OLD)
    outcome = site.upgrade(OLD, PLAN, PLAN, NOTHING)
    assert site.told == ["lock", "keep", "finished", "tidy", "unlock"]
    assert (outcome.snapshot, site.record) == ("", None)


def test_where_nothing_is_to_be_done_remains_are_tidied_under_the_locks(site: Site) -> None:
    site.upgrade(OLD, NOTHING)
    assert site.told == ["lock", "tidy", "unlock"]
    site.told.clear()
    site.hosts["m1"].taken = True
    with pytest.raises(LockError):
        site.upgrade(OLD, NOTHING)
    assert site.told == []


def test_a_version_that_another_run_brought_meanwhile_is_no_way_back(site: Site) -> None:
    def agreed(*_: Any) -> bool:
        site.runs(NEW)
        return True

    with pytest.raises(PreflightError, match="changed since the plan was shown"):
        site.upgrade(NEW, PLAN, NOTHING, confirm=agreed)
    assert site.told == ["lock", "offer", "unlock"]
    assert site.record is None


@pytest.mark.parametrize(("asked", "what"), [({"max_unavailable": 0}, "--max-unavailable"), ({"drain_s": 0}, "--deadline 0: want seconds")])
def test_numbers_that_are_none_are_refused_both_ways(site: Site, asked: dict[str, Any], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        site.upgrade(NEW, **asked)
    with pytest.raises(UsageError, match=what):
        site.rollback(**asked)


def test_an_anchored_version_is_edited_where_nothing_else_changes_and_refused_before_anything_is(site: Site) -> None:
    site.folder.cluster_yml.write_text(INVENTORY.replace(f'"{OLD}"', f'&v "{OLD}"'))
    site.upgrade(NEW, PLAN, PLAN, NOTHING)
    assert text(site) == INVENTORY.replace(f'"{OLD}"', f'&v "{NEW}"')
    site.told.clear()
    site.folder.cluster_yml.write_text(INVENTORY.replace(f'"{OLD}"', f'&v "{OLD}"') + "versions: {etcd: *v}\n")
    site.runs(OLD)
    with pytest.raises(KbError, match="what refers to it would change"):
        site.upgrade(NEW, PLAN, PLAN, NOTHING)
    assert site.told == []
