"""Orders to members without data: begin a cluster, or join the one that runs. etcd starts with none else, so no empty disk becomes an empty cluster.

A host that has been ready once remembers it outside its data; so «not begun yet» and «lost» are told apart on the hosts themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from kbootstrap.catalog import paths
from kbootstrap.errors import PreflightError
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.desired import Desired, Wanted
from kbootstrap.model.facts import Observed
from kbootstrap.model.host import Host
from kbootstrap.model.plan import Action, Change, HostPlan, Plan, Stage
from kbootstrap.plan import etcd_members_sh as texts
from kbootstrap.plan.etcd_members import find, quorum
from kbootstrap.plan.stages import CONTROL_PLANE, ETCD, STAGES
from kbootstrap.render import etcd
from kbootstrap.report.etcd import Known

SERVICE: Final = "service/etcd.service"
API: Final = "kube-apiserver.service"
MEMBER: Final = "etcd/member"
VOTER: Final = "etcd/voter"
PROBE: Final = f"for f in {paths.ETCD_WAL} {paths.ETCD_JOINED} {paths.ETCD_LEARNER}; do [ ! -e $f ] || echo $f; done\n"


def parse(output: str) -> dict[str, bool]:
    """What ``PROBE`` found, by path."""
    return dict.fromkeys(output.split(), True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A master as it stands: *data* of a member lies there, one has *joined* (been ready) there once, one is being added as *learner*.

    *unit*: etcd is installed; *runs*: it is active.
    """

    data: bool = False
    joined: bool = False
    learner: bool = False
    unit: bool = False
    runs: bool = False


class Act(StrEnum):
    """What a member is told."""

    BEGIN = "begin"
    JOIN = "join"
    PROMOTE = "promote"
    WAIT = "wait"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """*through* are masters whose members can be asked; *reason* is for the plan, *hint* the next command where nothing can be ordered."""

    host: Host
    act: Act
    reason: str
    through: tuple[Host, ...] = ()
    hint: str = ""


def standing(found: Mapping[str, object], service: Mapping[str, str] | None) -> Standing:
    """From what ``PROBE`` found and systemd's state of the unit (None: there is none)."""
    return Standing(
        data=paths.ETCD_WAL in found,
        joined=paths.ETCD_JOINED in found,
        learner=paths.ETCD_LEARNER in found,
        unit=service is not None,
        runs=(service or {}).get("ActiveState") == "active",
    )


def of(seen: Observed) -> Standing:
    """A host that was read."""
    service = seen.kinds.get("service", {}).get("etcd.service")
    return standing(seen.kinds.get("etcd", {}), service.state if service is not None else None)


def undecided(found: Mapping[str, Standing]) -> bool:
    """Whether etcd itself must be asked: somebody has no data, is on its way in, or does not run."""
    return any(not each.data or each.learner or not each.runs for each in found.values())


def orders(spec: ClusterSpec, found: Mapping[str, Standing], chosen: Collection[str], known: Sequence[Known]) -> tuple[Order, ...]:
    """What each master of *chosen* is told, by how all masters stand (*found*) and the members' list (*known*, empty where no majority answers).

    Who an earlier run was adding goes first: etcd bears one learner at a time. PreflightError where nothing can be ordered, and nothing prepared.
    """
    hosts = [host for host in spec.masters if host.name in chosen]
    lacking = [host for host in hosts if not found[host.name].data]
    if known:
        mine = {host.name: find(known, host.name, etcd.peer_url(host)) for host in spec.masters}
        through = [host for host in spec.masters if found[host.name].data and _votes(mine[host.name])]
        told = [_joining(host, found[host.name], mine[host.name], through) for host in hosts]
        under_way = {each.peer_urls for each in known if each.learner}
        return tuple(sorted(filter(None, told), key=lambda order: (etcd.peer_url(order.host),) not in under_way))
    if not lacking or not any(each.joined for each in found.values()):
        return tuple(Order(host=host, act=Act.BEGIN, reason=_beginning(spec, host)) for host in lacking)
    what, hint = _lost(spec, found, lacking)
    if all(found[host.name].unit for host in lacking):
        raise PreflightError(f"{what}; nothing was changed", hint=hint)
    return tuple(Order(host=host, act=Act.WAIT, reason=what, hint=hint) for host in lacking)


def _votes(member: Known | None) -> bool:
    return member is not None and not member.learner


def _joining(host: Host, stands: Standing, member: Known | None, through: Sequence[Host]) -> Order | None:
    others = tuple(each for each in through if each.name != host.name)
    how = "as a learner first, then as a voter"
    if stands.data and member is not None:
        if not (stands.learner or member.learner):
            return None
        return Order(host=host, act=Act.PROMOTE, through=others, reason="an earlier run made it a learner: a voter once it has caught up")
    if stands.data:
        reason = f"its data is of a member that was removed, and is kept aside; it joins the running etcd anew, {how}"
    elif member is None:
        reason = f"joins the running etcd, {how}"
    elif not member.name:
        reason = f"joins the running etcd, to which an earlier run added it, {how}"
    else:
        reason = f"its disk has no data any more (not mounted?): its former member {member.id} is removed, and it joins anew, {how}"
    return Order(host=host, act=Act.JOIN, through=others, reason=reason)


def _beginning(spec: ClusterSpec, host: Host) -> str:
    others = ", ".join(each.name for each in spec.masters if each.name != host.name)
    return f"begins a new etcd with {others}" if others else "begins a new etcd"


def _lost(spec: ClusterSpec, found: Mapping[str, Standing], lacking: Sequence[Host]) -> tuple[str, str]:
    """There was a cluster, and no majority answers: (what, hint). Whoever has no data then must not begin another one."""
    without, keeping = _names(lacking), [host for host in spec.masters if found[host.name].data]
    if not keeping:
        what = f"etcd was begun here once, and no master has its data any more ({without} have none)"
        return what, "invoke etcd.restore SNAPSHOT. Or to begin anew without it: invoke cluster.down, then invoke cluster.up."
    what = f"{without} without etcd's data, and those with it ({_names(keeping)}) do not answer for a majority"
    if len(keeping) >= quorum(len(spec.masters)):
        only = ",".join(host.name for host in keeping)
        return what, f"Start them first: invoke cluster.up --limit {only}; then run this again. Lost for good: invoke etcd.recover."
    return what, f"invoke etcd.recover makes {_names(keeping)}'s data the cluster again; or invoke etcd.restore SNAPSHOT."


def _names(hosts: Sequence[Host]) -> str:
    return ", ".join(host.name for host in hosts)


def into(plan: Plan, told: Sequence[Order], spec: ClusterSpec, desired: Desired) -> Plan:
    """*plan* with *told* in its stage ETCD, around the start of etcd. Where somebody waits, it ends there, and that one's etcd does not start."""
    stages = {stage.name: {host.host: host for host in stage.hosts} for stage in plan.stages}
    members, servers = stages.setdefault(ETCD, {}), stages.setdefault(CONTROL_PLANE, {})
    for order in told:
        name = order.host.name
        none, wanted = HostPlan(host=name, changes=()), desired.hosts.get(name, {})
        members[name] = _told(members.pop(name, none), order, spec, wanted.get(ETCD, Wanted()))
        if order.act in (Act.JOIN, Act.PROMOTE):
            servers[name] = _served(servers.get(name, none), wanted.get(CONTROL_PLANE, Wanted()))
    names = [each.name for each in STAGES]
    if any(order.act is Act.WAIT for order in told):
        names = names[: names.index(ETCD) + 1]
        stages[ETCD] = {name: replace(host, gates=()) for name, host in members.items()}  # nobody is well without a quorum
    return Plan(stages=tuple(Stage(name=name, hosts=tuple(stages[name].values())) for name in names if stages.get(name)))


def _served(plan: HostPlan, wanted: Wanted) -> HostPlan:
    """The API server stopped with its member and tries again and again, so one look finds it running and the next does not: it is waited for
    whatever was found."""
    key = f"service/{API}"
    if any(change.key == key for change in plan.changes):
        return plan
    start = Change(host=plan.host, key=key, action=Action.RUN, reason="serves again with its member", commands=f"systemctl --no-block start {API}\n")
    return replace(plan, changes=(*plan.changes, start), gates=wanted.gates)


def _told(plan: HostPlan, order: Order, spec: ClusterSpec, wanted: Wanted) -> HostPlan:
    ahead, behind = _changes(order, spec)
    at = next((number for number, change in enumerate(plan.changes) if change.key == SERVICE), len(plan.changes))
    if order.act is Act.WAIT:
        return replace(plan, changes=(*plan.changes[:at], *ahead), gates=())
    return replace(plan, changes=(*plan.changes[:at], *ahead, *plan.changes[at:], *behind), gates=wanted.gates)


def _changes(order: Order, spec: ClusterSpec) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    """Those before the start of etcd, those behind it. Who joins goes alone, as one that restarts does."""
    host, through = order.host, order.through
    member = Change(host=host.name, key=MEMBER, action=Action.CREATE, reason=order.reason, commands=":\n")
    voter = replace(member, key=VOTER, action=Action.RUN, disruptive=True, deadline_s=texts.CATCH_UP_S + 120)
    match order.act:
        case Act.BEGIN:
            return (replace(member, commands=texts.begin(spec)),), ()
        case Act.WAIT:
            return (replace(member, action=Action.RUN, reason=f"waits: {order.reason}"),), ()
        case Act.PROMOTE:
            return (), (replace(voter, commands=texts.promote(host, through)),)
        case Act.JOIN:
            join = replace(member, commands=texts.join(spec, host, through), disruptive=True, deadline_s=texts.SETTLING_S + 90)
            return (join,), (replace(voter, reason="votes once it has caught up", commands=texts.promote(host, through)),)
