"""Every port of the matrix is free on the hosts that have it, loopback ones included; or its holder is ours."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap import topology
from kbootstrap.catalog.ports import NODEPORT_TCP, NODEPORT_UDP, PORTS, SSH, Port
from kbootstrap.model.survey import Socket
from kbootstrap.plan.checks.finding import Context, Finding, Seen

_NODEPORTS = (NODEPORT_TCP, NODEPORT_UDP)
_PODS = "kubepods"


def check(context: Context) -> Iterator[Finding]:
    mine = [port for port in PORTS if port is not SSH and port.protocol != "any" and port.plugin in ("", context.spec.network.plugin)]
    having = {port.name: {host.name for host in topology.targets_of(context.spec, port)} for port in mine}
    for seen in context.hosts():
        for socket in _others(seen):
            port = next((p for p in mine if seen.name in having[p.name] and _meets(p, socket)), None)
            if port is not None:
                yield _finding(seen, port, socket)


def _meets(port: Port, socket: Socket) -> bool:
    return port.protocol == socket.protocol and port.first <= socket.number <= port.last


def _others(seen: Seen) -> Iterator[Socket]:
    """Once per holder and number: a program often listens on several addresses."""
    told = set[tuple[str, int, int]]()
    units = {key.removeprefix("service/") for key, entry in seen.ledger.entries.items() if entry.get("kind") == "service"}
    for socket in seen.survey.sockets:
        key = (socket.protocol, socket.number, socket.pid)
        ours = socket.unit in units or (seen.installed and (_PODS in socket.unit or not socket.pid))  # the kernel's own VXLAN has no process
        if key not in told and not ours:
            told.add(key)
            yield socket


def _finding(seen: Seen, port: Port, socket: Socket) -> Finding:
    holder = f"pid {socket.pid} ({socket.command})" if socket.pid else "the kernel or a process that cannot be seen"
    where = f"{socket.protocol} {socket.number}"
    what = f"{where} ({port.purpose}) is held by {holder}{f' of {socket.unit}' if socket.unit else ''}"
    stop = f"systemctl disable --now {socket.unit}" if socket.unit.endswith(".service") else f"kill {socket.pid}"
    hint = f"Run there: {stop}." if socket.pid else f"Look there: ss -lnp sport = :{socket.number}."
    evidence = f"ss: {socket.protocol} {socket.address}:{socket.number} pid {socket.pid}"
    return Finding(check="port", host=seen.name, what=what, hint=hint, warning=port in _NODEPORTS, evidence=evidence)
