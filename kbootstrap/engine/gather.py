"""One read per host: every probe in one program over one channel, cut apart by a random marker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from kbootstrap.catalog import paths
from kbootstrap.errors import CommandError
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.desired import Desired
from kbootstrap.model.facts import Observed
from kbootstrap.model.plan import Action, Change, Plan
from kbootstrap.model.resource import File
from kbootstrap.plan import before, etcd_orders, facts, owner, survey
from kbootstrap.remote import fuse
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Pool
from kbootstrap.resources import KINDS, binary
from kbootstrap.resources.difference import sh
from kbootstrap.store import clock, entropy

FACTS = "facts"
SURVEY = "survey"
READ_DEADLINE_S = 120.0  # hashing every binary of a host anew is most of it


def sections(desired: Desired | None, host: str, *, deep: bool, asked: str = "", ledger: str = "") -> list[tuple[str, str]]:
    """(id, sh text) of everything that is read; known before the first contact. *asked* is the preflight's survey, *ledger* a role's own.

    Without *desired* nothing is asked but what the preflight judges.
    """
    own, ledger = bool(ledger), ledger or paths.LEDGER
    found = [(FACTS, facts.PROBE), *([(SURVEY, asked)] if asked else []), ("ledger", f"[ ! -r {ledger} ] || cat {ledger}\n")]
    if desired is None:
        return [*found, ("firewall", KINDS["firewall"].probe(()))] if asked else found
    found.append(("blobs", f"[ ! -d {paths.BLOBS} ] || ( cd {paths.BLOBS}; sha256sum -- * 2>/dev/null || true )\n"))
    found += [("owner", owner.probe(ledger))] if own else [("before", before.probe(desired, host)), ("etcd", etcd_orders.PROBE)]
    for kind, names in desired.names(host).items():
        text = binary.probe(names, deep=True) if kind == "binary" and deep else KINDS[kind].probe(names)
        found.append((kind, text))
    return found


def read(connection: Connection, desired: Desired | None, *, deep: bool = False, preflight: str = "", ledger: str = "") -> Observed:
    """Read one host; *preflight* is the text of its survey, *ledger* is set for a role that has one of its own.

    CommandError if a probe itself fails (a probe answers «absent» with exit code 0).
    """
    marker = entropy.marker()
    asked = sections(desired, connection.host, deep=deep, asked=preflight, ledger=ledger)
    epoch_s, began = clock.epoch_s(), clock.monotonic_s()
    running = connection.run(fuse.read_program(asked, marker), deadline_s=READ_DEADLINE_S)
    answers, arrived_s = {}, began
    for section in fuse.split(running.lines(), marker):
        answers[section.id] = _text(section, connection.host)
        arrived_s = clock.monotonic_s() if section.id == FACTS else arrived_s  # the rest may take long, and the clock was read before it
    ended = running.finish()
    if len(answers) != len(asked):
        raise CommandError(f"the read ended early ({ended.exit_code}): {ended.stderr.strip()[-300:]}", host=connection.host)
    took = clock.monotonic_s() - began
    kinds = {kind: KINDS[kind].parse(answers[kind]) for kind in KINDS if kind in answers}
    kinds["blob"] = _blobs(answers.get("blobs", ""))
    kinds["before"] = before.parse(answers.get("before", ""))
    kinds["owner"] = owner.parse(answers.get("owner", ""))
    kinds["etcd"] = etcd_orders.parse(answers.get("etcd", ""))
    seen = facts.parse(answers[FACTS], now_s=epoch_s + (arrived_s - began) / 2)
    surveyed = survey.parse(answers.get(SURVEY, ""))
    return Observed(host=connection.host, facts=seen, survey=surveyed, ledger=answers["ledger"], kinds=kinds, seconds=took)


def _blobs(output: str) -> dict[str, bool]:
    """What a run that ended early left in the host's store, if it is what its name says: a power cut may have damaged it since it was verified."""
    pairs = (line.split() for line in output.splitlines())
    return {pair[1]: True for pair in pairs if len(pair) == 2 and pair[0] == pair[1]}


def _text(section: fuse.Section, host: str) -> str:
    if section.exit_code != 0:
        raise CommandError(f"the probe of {section.id} failed ({section.exit_code}): {section.output[-300:]!r}", host=host)
    return section.output.decode("utf-8", "replace")


def with_contents(plan: Plan, spec: ClusterSpec, pool: Pool) -> Plan:
    """*plan* with the present text of every changed text file, for its diff: a second read, only of hosts where such a file differs."""
    wanted = {host.name: [c.key for c in plan.changes() if c.host == host.name and _is_text(c)] for host in spec.hosts}
    hosts = [host for host in spec.hosts if wanted[host.name]]
    outcomes = pool.map(lambda host, connection: _contents(connection, wanted[host.name]), hosts)
    found = {(name, path): text for name, outcome in outcomes.items() if outcome.ok for path, text in outcome.get().items()}
    stages = [
        replace(stage, hosts=tuple(replace(h, changes=tuple(_with_before(c, found) for c in h.changes)) for h in stage.hosts))
        for stage in plan.stages
    ]
    return Plan(stages=tuple(stages))


def _is_text(change: Change) -> bool:
    """Never a secret: what lies in its place may lead to one (a link to the real key)."""
    file = change.resource
    return change.action is Action.UPDATE and isinstance(file, File) and not file.secret and change.after is not None and change.before is None


def _with_before(change: Change, found: Mapping[tuple[str, str], bytes]) -> Change:
    text = found.get((change.host, change.key))
    return change if text is None or not _is_text(change) else replace(change, before=text.decode("utf-8", "replace"))


def _contents(connection: Connection, wanted: Sequence[str]) -> dict[str, bytes]:
    marker = entropy.marker()
    program = fuse.read_program([(path, sh("head", "-c", "262144", "--", path) + "\n") for path in wanted], marker)
    running = connection.run(program, deadline_s=30.0)
    found = {section.id: section.output for section in fuse.split(running.lines(), marker) if section.exit_code == 0}
    running.finish()
    return found
