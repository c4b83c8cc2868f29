"""What is told of a failure: which hosts and units it is about, the causes by name, and one text with all that was seen. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from kbootstrap.errors import KbError, Problem
from kbootstrap.model.status import Status, Trouble, Unit
from kbootstrap.plan import causes
from kbootstrap.plan.redact import redacted
from kbootstrap.plan.words import probe as words_probe
from kbootstrap.report.status import lines as screen

_UNIT: Final = re.compile(r"\b[\w@-]+\.service\b|journalctl -u (?P<short>[\w@-]+)")
_BEFORE: Final = re.compile(r"^\S+ \S+ [^\s:]+: ")  # time, host and process, as journalctl -o short-iso begins a line
_LINES: Final = 120  # of a unit that is concerned; of another a few
_LINES_OTHERS: Final = 25

_MACHINE: Final = """\
date -u +%FT%TZ; uptime; timedatectl show -p NTPSynchronized 2>/dev/null; hostname; uname -r
echo; df -h 2>/dev/null | grep -v overlay; echo; df -i / /var 2>/dev/null; echo; free -m; cat /proc/swaps
"""
_NETWORK: Final = "ip -4 -br address; ip -4 route; echo; ss -Hlntup | cut -c1-200\n"
_FILES: Final = "ls -lnR /etc/kubernetes /etc/etcd 2>/dev/null | head -n 120; ls -lnd /var/lib/etcd /var/lib/kubelet /var/lib/containerd 2>&1 || :\n"
_KERNEL: Final = "journalctl -k -b -n 400 --no-pager -o short-iso 2>/dev/null | grep -iE 'oom|kill|error|full|i/o|segfault' | tail -n 30 || :\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """*answers*: host that is concerned → section → output; *said*: host → unit → its last lines, each with its time."""

    status: Status
    answers: Mapping[str, Mapping[str, str]]
    said: Mapping[str, Mapping[str, Sequence[str]]]


def sections(units: Sequence[str]) -> list[tuple[str, str]]:
    """(id, sh text) of what is read of a host that is concerned."""
    shown = "systemctl show -p Id,LoadState,ActiveState,SubState,Result,ExecMainStatus,NRestarts,StateChangeTimestamp -- "
    states = f"{shown}{' '.join(units)} | sed 's/^Id=//' | awk 'BEGIN {{ RS = \"\" }} {{ $1 = $1; print }}'\n" if units else ""
    asked = [("words", words_probe(units, every=True, times=True)), ("units", states), ("machine", _MACHINE)]
    return [*asked, ("network", _NETWORK), ("files", _FILES), ("kernel", _KERNEL)]


def concerned(error: KbError, hosts: Sequence[str]) -> dict[str, str]:
    """Host → what *error* says of it."""
    found: dict[str, list[str]] = {}
    for where, text in ((error.host, f"{error.message} {error.hint}"), *((p.where, f"{p.what} {p.hint}") for p in error.about)):
        for name in hosts:
            if name in re.split(r"[\s:,/]+", where):
                found.setdefault(name, []).append(text)
    return {name: "\n".join(texts) for name, texts in found.items()}


def mentioned(text: str, units: Sequence[str]) -> list[str]:
    """Those of *units* that *text* speaks of."""
    found = {f"{match['short']}.service" if match["short"] else match[0] for match in _UNIT.finditer(text)}
    return [unit for unit in units if unit in found]


def explain(seen: Seen, about: Mapping[str, str]) -> tuple[Problem, ...]:
    """The causes, host by host, each with its own repair; what is only a consequence of another cause is left out."""
    found: list[Problem] = []
    for host in (host for host in seen.status.hosts if host.name in about):
        said = seen.said.get(host.name, {})
        units = mentioned(about[host.name], [unit.name for unit in host.units])
        suspects = [_looked(unit, said) for unit in host.units if not unit.ok or unit.name in units]
        named = [unit for unit in suspects if unit.cause is not None]
        own = [unit for unit in named if unit.cause and not unit.cause.symptom and unit.cause.id != "bound"] or named
        troubles = [each for each in seen.status.troubles if each.where == host.name and not each.warning]
        found += [_problem(unit, troubles) for unit in own]
        found += [Problem(where=each.where, what=each.what, hint=each.hint) for each in troubles if not _told(each, found)]
        if not own and not troubles:
            found += [_unnamed(unit, said) for unit in suspects]
    return tuple(found) or tuple(Problem(where=t.where, what=t.what, hint=t.hint) for t in seen.status.troubles if not t.warning)


def _looked(unit: Unit, said: Mapping[str, Sequence[str]]) -> Unit:
    """One that is active, and yet not well, has only its words to explain it."""
    if unit.cause is not None or unit.state == "absent":
        return unit
    lines = [_BEFORE.sub("", line) for line in said.get(unit.name, ())]
    return replace(unit, cause=causes.named(unit.host, unit.name, {}, lines))


def _problem(unit: Unit, troubles: Sequence[Trouble]) -> Problem:
    """Who holds a port is known from the host's sockets."""
    cause = unit.cause
    assert cause is not None  # noqa: S101  the caller chose it so
    holder = next((each for each in troubles if cause.id == "port-taken" and each.id == "port"), None)
    what = holder.what if holder else cause.what
    told = f". It said: {cause.line}" if cause.line and not holder else ""
    state = unit.state if unit.ok or not unit.active else "runs"
    return Problem(where=unit.host, what=redacted(f"{unit.name} ({state}): {what}{told}"), hint=f"→ {holder.hint if holder else cause.hint}")


def _told(trouble: Trouble, found: Sequence[Problem]) -> bool:
    return any(trouble.where == problem.where and trouble.what in problem.what for problem in found)


def _unnamed(unit: Unit, said: Mapping[str, Sequence[str]]) -> Problem:
    lines = causes.stands_out([_BEFORE.sub("", line) for line in said.get(unit.name, ())])
    told = "".join(f"\n{line}" for line in lines)
    return Problem(where=unit.host, what=redacted(f"{unit.name} ({unit.state}), cause not known; it said last:{told}"), hint=f"→ {unit.hint}")


def text(head: Sequence[str], error: str, found: Sequence[Problem], seen: Seen) -> str:
    """The whole as one text that a person reads from the top. Secrets are out of it."""
    return redacted("\n".join([*head, "", "=== What failed", error, *_causes(found), *_status(seen.status), *_hosts(seen)]) + "\n")


def _causes(found: Sequence[Problem]) -> list[str]:
    return ["", "=== Causes", *(map(str, found) if found else ["None could be named: the last lines of the units are below."])]


def _status(status: Status) -> list[str]:
    return ["", "=== The cluster then (cluster.status)", *screen(status)]


def _hosts(seen: Seen) -> Iterator[str]:
    for host, answers in seen.answers.items():
        bad = {unit.name for state in seen.status.hosts if state.name == host for unit in state.units if not unit.ok}
        for title in ("units", "machine", "network", "files", "kernel"):
            yield from ("", f"=== {host}: {title}", answers.get(title, "").strip() or "(nothing)")
        for unit, lines in seen.said.get(host, {}).items():
            last = lines[-(_LINES if unit in bad else _LINES_OTHERS) :]
            yield from ("", f"=== {host}: last {len(last)} lines of {unit}", *last)
