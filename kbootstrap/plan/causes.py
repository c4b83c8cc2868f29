"""Why a unit does not run: what systemd and its own last words say → the cause by name, and what mends it. Pure, one table.

A row of ``cause_rows`` that is a *symptom* tells of another's fault (nobody answers at the other end); it is named only where no line says more.
The newest line decides. To add one: its row, and a line as a real daemon wrote it in ``tests/unit/plan/test_causes.py``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

from kbootstrap.model.report import Cause
from kbootstrap.plan.cause_rows import ROWS, Row

HALTED: Final = ("stopped", "not-started")
"""The causes of who stands still without a fault of its own."""
_EXIT: Final = {"oom-kill": "oom"}
_STATUS: Final = {"203": "missing", "217": "user", "243": "credential", "137": "oom"}


def named(host: str, unit: str, state: Mapping[str, str], words: Sequence[str]) -> Cause | None:
    """Why *unit* of *host* does not run: *state* as ``systemctl show`` tells, *words* its last lines, oldest first. None where nothing is known."""
    if state.get("LoadState") == "masked":
        return Cause(id="masked", what="it is masked", hint="invoke cluster.up puts its unit file back")
    if state.get("ActiveState") == "inactive" and state.get("Result") == "success":
        return _halted(host, unit, state, words)
    for symptoms in (False, True):
        rows = [row for row in ROWS if row.symptom is symptoms]
        for line in reversed(words):
            for row in rows:
                if match := row.pattern.search(line):
                    return _cause(row, match, host, unit, line)
    if name := _EXIT.get(state.get("Result", "")) or _STATUS.get(state.get("ExecMainStatus", "")):
        row = next(row for row in ROWS if row.id == name)
        program = _program(state.get("ExecStart", ""))
        return Cause(id=name, what=row.what.format(file=program), hint=row.hint.format(host=host, unit=unit, file=program))
    return None


def _halted(host: str, unit: str, state: Mapping[str, str], words: Sequence[str]) -> Cause:
    """It stands still in peace: whatever its last lines complain of was not its end. systemd forgets when a unit stopped that nothing refers to any
    more (one that was enabled since the last daemon-reload): only where the journal has no word of it, either, it never ran."""
    if not words and not int(state.get("StateChangeTimestampMonotonic") or 0):
        return Cause(id="not-started", what="it was never started", hint="invoke cluster.up")
    return Cause(id="stopped", what="somebody stopped it", hint=f"On {host}: systemctl start {unit}")


def _program(exec_start: str) -> str:
    """What systemd was to run, as it shows ExecStart: ``{ path=/usr/local/bin/etcd ; argv[]=… }``; a drop-in may name another than ours."""
    found = re.search(r"\bpath=(\S+) ;", exec_start)
    return found[1] if found else "that its ExecStart= names"


def _cause(row: Row, match: re.Match[str], host: str, unit: str, line: str) -> Cause:
    found = {name: value for name, value in match.groupdict().items() if value}
    same = {"flag": found.get("single", ""), "why": found.get("strict", ""), "node": found.get("other", "otherwise")}
    values = {"port": "", "address": "", "file": "a file of its own", "then": "see its line", "image": "", "program": "see its line"} | same | found
    values |= {"host": host, "unit": unit}
    return Cause(id=row.id, what=row.what.format(**values).strip(), hint=row.hint.format(**values), line=_plain(line), symptom=row.symptom)


def _plain(line: str) -> str:
    """What a line says, without what else stands in a line of JSON."""
    try:
        said = json.loads(line)
        return f"{said['msg']}: {said['error']}"[:400] if said.get("error") else str(said["msg"])[:400]
    except (ValueError, KeyError, TypeError, AttributeError):
        found = re.search(r'"msg":"([^"]*)"(?:.*?"error":"([^"]*)")?', line)  # one that was cut short
        return ": ".join(part for part in found.groups() if part) if found else line.strip()[:400]


def stands_out(words: Sequence[str], count: int = 3) -> tuple[str, ...]:
    """The last *count* lines that sound like trouble, or just the last, oldest first: for who must judge where no cause has a name."""
    grave = [line for line in words if re.search(r"(?i)error|fail|fatal|panic|denied|refus|cannot|unable", line) or line.startswith(("E", "F"))]
    return tuple(_plain(line)[:300] for line in (grave or list(words))[-count:])
