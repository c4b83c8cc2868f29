"""The condition of a host as it runs now: what ``cluster.status`` asks it, and what the answers mean. Each section may fail alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from kbootstrap.catalog import paths
from kbootstrap.errors import PkiError
from kbootstrap.model.host import Host
from kbootstrap.model.report import Cause
from kbootstrap.model.status import Api, Certificate, Member, NodeState, Unit
from kbootstrap.pki.inspect import describe
from kbootstrap.pki.profiles import KUBECONFIGS, PLACES
from kbootstrap.plan import causes, certificate_sh, etcd_status, facts, words
from kbootstrap.plan.checks.gates import etcdctl, kubectl
from kbootstrap.resources import KINDS
from kbootstrap.resources.difference import sh

_OURS: Final = frozenset([*(place.cert for place in PLACES.values()), *map(paths.kubeconfig, KUBECONFIGS)])
_BOUND: Final = {"kube-apiserver.service": "etcd.service"}
_MACHINE = """\
echo "up $(( $(date +%s) - $(stat -c %Y /proc/1) ))"
df -P -- / /var /var/lib /var/log {etcd} /var/lib/containerd 2>/dev/null | awk 'NR > 1 && !seen[$6]++ {{ print "disk", $5, $6 }}'
"""

# The version is asked of the very file that runs: a newer one may lie in its place already.
_UNITS = """\
read -r now rest </proc/uptime; echo "now $now"
systemctl show -p Id,LoadState,ActiveState,SubState,Result,ExecStart,ExecMainStatus,NRestarts,StateChangeTimestampMonotonic -- {units}
for u in {versioned}; do
  p=$(systemctl show -p MainPID --value -- "$u")
  [ "${{p:-0}}" = 0 ] || {{ v=$(timeout 5 "/proc/$p/exe" --version 2>/dev/null | head -n 1); echo "version $u $v"; }} &
done
wait
"""

_NODES = (
    """-o jsonpath='{range .items[*]}{.metadata.name}{range .status.conditions[?(@.type=="Ready")]}"""
    """{"\\t"}{.status}{"\\t"}{.message}{end}{"\\n"}{end}'"""
)


def sections(host: Host, units: Sequence[str], versioned: Sequence[str], *, survey: str = "") -> list[tuple[str, str]]:
    """(id, sh text) of the one read of *host*; *versioned* are those of *units* whose program tells its version, *survey* what the preflight asks."""
    asked = [
        ("facts", facts.PROBE),
        ("ledger", f"[ ! -r {paths.LEDGER} ] || cat {paths.LEDGER}\n"),
        ("machine", _MACHINE.format(etcd=paths.ETCD_DATA)),
        ("units", _UNITS.format(units=sh(*units), versioned=sh(*versioned))),
        ("words", words.probe(units)),
        ("survey", survey),
        ("firewall", KINDS["firewall"].probe(())),
        ("certificates", certificate_sh.CERTIFICATES),
    ]
    if host.is_master:
        asked.append(("etcd", f"timeout 10 {etcdctl(host)} endpoint status -w json 2>&1 && timeout 10 {etcdctl(host)} member list -w json\n"))
        asked.append(("readyz", f"timeout 10 {kubectl(host)} --request-timeout=4s get --raw /readyz 2>&1\n"))
        asked.append(("nodes", f"timeout 10 {kubectl(host)} --request-timeout=4s get nodes {_NODES}\n"))
    return asked


def machine(output: str) -> tuple[float, dict[str, int]]:
    """Seconds since the boot, and mount point → percent used."""
    up_s, disks = 0.0, {}
    for line in output.splitlines():
        word, _, rest = line.partition(" ")
        if word == "up":
            up_s = float(rest)
        elif word == "disk":
            used, _, mount = rest.partition(" ")
            if used.rstrip("%").isdigit():  # df says - where a file system has no blocks
                disks[mount] = int(used.rstrip("%"))
    return up_s, disks


Said = Mapping[str, Sequence[str]]


def units(host: str, output: str, wanted: Mapping[str, str], said: Said = MappingProxyType({}), *, run: str = "") -> tuple[Unit, ...]:
    """The units of *wanted* (name → version, "" where none is compared), as they are; *said*: last words of those that do not run; *run*: who
    is at work on the host and may have stopped one."""
    head, _, rest = output.partition("\n")
    uptime_s = float(head.removeprefix("now ") or 0)
    versions = dict(_version(line) for line in rest.splitlines() if line.startswith("version "))
    shown = {}
    for block in rest.split("\n\n"):
        pairs = dict(line.partition("=")[::2] for line in block.splitlines() if "=" in line)
        shown[pairs.get("Id", "")] = pairs
    found = [_unit(host, shown.get(name, {}), uptime_s, program=(versions.get(name, ""), version), name=name) for name, version in wanted.items()]
    explained = [u if u.active or u.state == "absent" else _explained(u, shown[u.name], said.get(u.name, ())) for u in found]
    return tuple(_bound([_halted(unit, run) for unit in explained]))


def _halted(unit: Unit, run: str) -> Unit:
    """One without a fault of its own stands still for the run that is at work."""
    if not run or unit.cause is None or unit.cause.id not in causes.HALTED:
        return unit
    return replace(unit, cause=Cause(id="at-work", what="a run is at work on its host", hint="invoke cluster.status once that has ended"))


def _explained(unit: Unit, state: Mapping[str, str], said: Sequence[str]) -> Unit:
    return replace(unit, cause=causes.named(unit.host, unit.name, state, said))


def _bound(found: Sequence[Unit]) -> Iterator[Unit]:
    """What is bound to another unit stops and starts with it."""
    down = {unit.name: unit for unit in found if not unit.active}
    for unit in found:
        other = down.get(_BOUND.get(unit.name, ""))
        if unit.name in down and unit.state.startswith("inactive") and other is not None:
            yield replace(unit, cause=Cause(id="bound", what=f"it stops and starts with {other.name}", hint=other.hint))
        else:
            yield unit


def _version(line: str) -> tuple[str, str]:
    _, unit, text = f"{line} ".split(" ", 2)
    found = re.search(r"\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?", text)
    return unit, found[0] if found else ""


def _unit(host: str, seen: Mapping[str, str], uptime_s: float, *, name: str, program: tuple[str, str]) -> Unit:
    """*program*: the version that runs and the wanted one."""
    version, wanted = program
    if seen.get("LoadState", "not-found") == "not-found":
        return Unit(host=host, name=name, state="absent", wanted=wanted)
    active, why = seen["ActiveState"], seen.get("SubState", "")
    if active != "active" and seen.get("Result", "success") != "success":
        why = seen["Result"]
    changed_s = int(seen.get("StateChangeTimestampMonotonic") or 0) / 1e6
    return Unit(
        host=host,
        name=name,
        state=f"{active} {why}",
        since_s=max(0.0, uptime_s - changed_s) if changed_s else None,
        restarts=int(seen.get("NRestarts") or 0),
        version=version,
        wanted=wanted if active == "active" else "",
    )


def certificate(output: str, now: datetime) -> Certificate | None:
    """The one of ours that expires first; one that cannot be read counts as expired. Whatever else lies beside them is not ours to judge."""
    found = []
    for path, pem in ((path, pem) for path, pem in certificate_sh.files(output) if path in _OURS):
        try:
            found.append(Certificate(path=path, days_left=round(describe(pem).days_left(now), 2)))
        except PkiError:
            found.append(Certificate(path=path, days_left=-1.0, readable=False))
    return min(found, key=lambda each: each.days_left, default=None)


def member(host: str, code: int, output: str) -> Member:
    """etcd on *host*, as it says of itself."""
    if code != 0:
        return Member(host=host, reason=_last(output))
    try:
        endpoints, known = (json.loads(line) for line in output.splitlines() if line.startswith(("{", "[")) and _is_answer(line))
        status: Mapping[str, Any] = endpoints[0]["Status"]
        names = {f"{each['ID']:x}": each.get("name", "") for each in known["members"]}
        leader = status.get("leader", 0)  # etcdctl leaves out what is zero: without a quorum there is no leader
        return Member(
            host=host,
            leader=leader == status["header"]["member_id"],
            version=status["version"],
            db_bytes=status["dbSize"],
            members=tuple(sorted(names.values())),
            alarms=tuple((names.get(alarm.member, alarm.member), alarm.kind) for alarm in etcd_status.alarms(status.get("errors") or ())),
            reason="" if leader else "knows no leader: its etcd has no quorum",
        )
    except (ValueError, KeyError, IndexError, TypeError):
        return Member(host=host, reason=f"answers what cannot be read: {_last(output)}")


def _is_answer(line: str) -> bool:
    """etcdctl writes its log lines as JSON, too."""
    return not line.startswith('{"level"')


def _last(output: str) -> str:
    """The last line that says something to people."""
    said = [line for line in output.splitlines() if line.strip() not in ("", "null") and _is_answer(line)]
    return said[-1].strip()[:200] if said else "no answer"


def api(host: str, code: int, output: str) -> Api:
    """The API server of *host*, as its own /readyz answers."""
    if code == 0 and output.strip() == "ok":
        return Api(host=host)
    return Api(host=host, reason=_last(output))


def nodes(output: str) -> dict[str, NodeState]:
    """Name → node."""
    rows = [line.split("\t") for line in output.splitlines() if line.strip()]
    return {row[0]: NodeState(name=row[0], status=row[1] if row[1:] and row[1] else "Unknown", detail="\t".join(row[2:])) for row in rows}
