"""``cluster.status`` as one screen: what is well is folded into a line, what is not stands alone with its reason and next command."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from kbootstrap.model.status import DISK_FULL_PERCENT, Api, HostState, Member, NodeState, Status, Trouble, Unit, span


def lines(status: Status) -> Iterator[str]:
    """The screen."""
    yield f"{status.cluster}  Kubernetes {status.kubernetes}  {'healthy' if status.healthy else 'NOT HEALTHY'}"
    for title, rows in (
        ("HOSTS", _hosts(status.hosts)),
        ("UNITS", _units([unit for host in status.hosts for unit in host.units])),
        ("ETCD", _etcd(status.members)),
        ("API", _apis(status.apis)),
        ("NODES", _nodes(status.nodes)),
        ("TROUBLES", (_trouble(each) for each in status.troubles)),
    ):
        yield from _titled(title, rows)


def _titled(title: str, rows: Iterable[str]) -> Iterator[str]:
    shown = list(rows)
    yield from ([title, *shown] if shown else [])


def _row(ok: bool, text: str, hint: str = "") -> str:
    return f"  {'ok' if ok else '!!'}  {text.rstrip()}{f'  → {hint}' if hint else ''}"


def _hosts(hosts: Sequence[HostState]) -> Iterator[str]:
    width = max((len(host.name) for host in hosts), default=0)
    roles = max((len(",".join(host.roles)) for host in hosts), default=0)
    for host in hosts:
        head = f"{host.name:<{width}}  {','.join(host.roles):<{roles}}  "
        if host.reason:
            yield _row(False, f"{head}cannot be read: {host.reason}", host.hint)
            continue
        active = sum(unit.active for unit in host.units)
        parts = [host.os, host.kernel, f"up {span(host.up_s)}", f"{active}/{len(host.units)} units"]
        parts += [f"certificates {host.certificate.days_left:.0f} d"] if host.certificate else []
        parts += [f"{mount} {used} %" for mount, used in host.disks.items() if used >= DISK_FULL_PERCENT]
        yield _row(host.ok and active == len(host.units), head + "  ".join(parts))


def _units(units: Sequence[Unit]) -> Iterator[str]:
    """A line per unit over all hosts, and below it one for each host where it is not so."""
    names = list(dict.fromkeys(unit.name for unit in units))
    width = max((len(name) for name in names), default=0)
    for name in names:
        mine = [unit for unit in units if unit.name == name]
        active = [unit for unit in mine if unit.active]
        since = sorted(unit.since_s for unit in active if unit.since_s is not None)
        ages = list(dict.fromkeys(span(s) for s in (since[:1] + since[-1:])))
        version = ",".join(sorted({unit.version for unit in active if unit.version}))
        head = f"{name:<{width}}  {version:<8}  {len(active)} of {len(mine)} active"
        yield _row(all(unit.ok for unit in mine), f"{head}, for {' to '.join(ages)}" if ages else head)
        yield from (f"        {_why(unit)}" for unit in mine if not unit.ok)


def _why(unit: Unit) -> str:
    what = "does not have it" if unit.state == "absent" else unit.what
    return f"{unit.host} {what}  → {unit.hint}"


def _etcd(members: Sequence[Member]) -> Iterator[str]:
    for member in members:
        if member.reason:
            yield _row(False, f"{member.host}  {member.reason}", f"On {member.host}: journalctl -u etcd -n 50")
            continue
        role = "leader" if member.leader else "follower"
        told = f"{member.host}  {role:<8}  {member.version}  {member.db_bytes / 1e6:.0f} MB  knows {', '.join(member.members)}"
        own = [kind for name, kind in member.alarms if name == member.host]
        yield _row(not own, told + "".join(f"  alarm {kind}" for kind in own))


def _apis(apis: Sequence[Api]) -> Iterator[str]:
    good = [api for api in apis if not api.reason]
    yield _row(len(good) == len(apis), f"{len(good)} of {len(apis)} API servers ready")
    yield from (f"        {api.host}: {api.reason}  → On {api.host}: journalctl -u kube-apiserver -n 50" for api in apis if api.reason)


def _nodes(nodes: Sequence[NodeState]) -> Iterator[str]:
    if not nodes:
        yield _row(False, "not known: no API server answers")
        return
    ready = [node for node in nodes if node.ready]
    yield _row(len(ready) == len(nodes), f"{len(ready)} of {len(nodes)} Ready")
    for node in nodes:
        if not node.ready:
            state = "is not registered" if node.status == "absent" else f"Ready is {node.status}: {node.detail}"
            yield f"        {node.name} {state}  → On {node.name}: journalctl -u kubelet -n 50"


def _trouble(each: Trouble) -> str:
    return f"  {'· ' if each.warning else '!!'}  {each.where}  {each.what}  → {each.hint}"
