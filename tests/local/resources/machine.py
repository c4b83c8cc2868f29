"""This machine as the only host of a cluster, with our state below a folder: the engine's own way from reading to applying, without a network."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kbootstrap.catalog import paths
from kbootstrap.engine import gather
from kbootstrap.engine.apply import Applying, apply, ledgers, raise_together, write_ledger
from kbootstrap.engine.push import Push
from kbootstrap.model.desired import Desired, Wanted
from kbootstrap.model.events import Event
from kbootstrap.model.facts import Facts, Observed
from kbootstrap.model.host import Role
from kbootstrap.model.plan import Change, Plan
from kbootstrap.model.resource import Resource
from kbootstrap.plan import build
from kbootstrap.plan import ledger as ledger_of
from kbootstrap.plan.ledger import Ledger
from kbootstrap.plan.stages import STAGES
from kbootstrap.remote.local import LocalConnection
from kbootstrap.remote.pool import Pool
from kbootstrap.testing.builders import a_cluster, a_host

ME = f"{pwd.getpwuid(os.getuid()).pw_name}:{grp.getgrgid(os.getgid()).gr_name}"
IDENTITY = Ledger(cluster_id="c1", cluster="lab", version="0")
LOCAL = a_host("local", "127.0.0.1", Role.MASTER)


@dataclass
class Machine:
    """``plan`` reads and compares, ``apply`` executes, ``up`` does both and proves that nothing is left to do. *events* is what happened."""

    pool: Pool
    events: list[Event] = field(default_factory=list)
    seen: Observed = field(default_factory=lambda: Observed(host=LOCAL.name, facts=Facts()))

    def plan(self, *resources: Resource, deep: bool = False) -> Plan:
        """What differs from *resources*, all of them in the first stage."""
        stages = {stage.name: Wanted() for stage in STAGES}
        desired = Desired(hosts={LOCAL.name: {**stages, STAGES[0].name: Wanted(resources=resources)}})
        self.seen = gather.read(self.pool.connection(LOCAL), desired, deep=deep)
        return build.plan(desired, {LOCAL.name: self.seen}, {LOCAL.name: self.ledger()}, None)

    def apply(self, plan: Plan, *, ledger: bool = True) -> None:
        """Execute *plan*, made from the last look. Raises what ``engine.apply`` does."""
        there = self.seen.kinds.get("blob", {})
        blobs = {c.blob.sha256: c.blob for c in plan.changes() if c.blob and c.blob.sha256 not in there}
        connection = self.pool.connection(LOCAL)
        known = ledgers(plan, {LOCAL.name: self.seen}, {LOCAL.name: self.ledger()}, IDENTITY)
        for one in known.values() if ledger else ():
            write_ledger(connection, one, self.events.append)
        push = Push(connection, list(blobs.values()), self.events.append).start()
        applying = Applying(spec=a_cluster(hosts=(LOCAL,)), pool=self.pool, listener=self.events.append, ledgers=known, pushes={LOCAL.name: push})
        raise_together(apply(applying, plan.stages))

    def up(self, *resources: Resource) -> list[Change]:
        """What was changed. AssertionError if something differs after it."""
        plan = self.plan(*resources)
        self.apply(plan)
        left = [f"{c.id}: {c.reason}" for c in self.plan(*resources).changes()]
        if left:
            raise AssertionError(f"still different: {left}")
        return list(plan.changes())

    def ledger(self) -> Ledger:
        """What lies on the host."""
        place = Path(paths.LEDGER)
        return ledger_of.parse(place.read_text() if place.exists() else "", LOCAL.name)


@contextmanager
def this_machine(root: Path) -> Iterator[Machine]:
    """*root* is where the ledger, the store and all other state of ours go."""
    ours = ("STATE", "BLOBS", "HASHES", "BEFORE", "LEDGER", "RUN")
    with pytest.MonkeyPatch.context() as patch, Pool([LOCAL], lambda host: LocalConnection(host.name)) as pool:
        for name in ours:
            patch.setattr(paths, name, f"{root}{getattr(paths, name)}")
        yield Machine(pool=pool)
