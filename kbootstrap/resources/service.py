"""Kind ``service``: enabled, running, and started with exactly the present inputs.

Restart by comparison: every unit's ``ExecStartPre=+`` records its inputs *as really present* in ``/run/kbootstrap/<unit>.started``
(``sha256  path`` for files, ``inode size mtime ctime path`` for binaries). So a crash between change and restart, a reboot, and
somebody's restart by hand with another file in place are all noticed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kbootstrap.catalog import paths
from kbootstrap.model.plan import Action
from kbootstrap.model.resource import Service
from kbootstrap.resources.difference import Difference, Order, lines, sh

RESTART = "restart"  # how a reason begins
RELOAD = "reload"
_SUM = re.compile(r"^([0-9a-f]{64}) [ *](.+)$")
_STAT = re.compile(r"^(\d+ \d+ [\d.]+ [\d.]+) (/.+)$")
_PROBE = """\
systemctl show -p Id,LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,InvocationID -- {units}
binaries=
for u in {units}; do
  r={run}/$u.started; [ -r "$r" ] || continue
  echo "started $u"
  while IFS= read -r l; do
    echo "$l"
    case "$l" in *' '*' '*' '*' /'*) binaries="$binaries ${{l##* }}" ;; esac
  done < "$r"
done
[ -z "$binaries" ] || {{ echo now; stat -L -c '%i %s %Y %Z %n' -- $binaries 2>/dev/null || true; }}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """*started* is what the unit was started with, path → sha256 or stat; *now* the present stat of every unit's binaries."""

    state: Mapping[str, str]
    started: Mapping[str, str]
    now: Mapping[str, str]

    @property
    def active(self) -> bool:
        return self.state.get("ActiveState") in ("active", "activating", "reloading")


def probe(names: Sequence[str]) -> str:
    return _PROBE.format(units=sh(*names), run=paths.RUN)


def parse(output: str) -> dict[str, Seen]:
    show, _, rest = output.partition("\nstarted ")
    states: dict[str, dict[str, str]] = {}
    for block in show.split("\n\n"):
        pairs = dict(line.partition("=")[::2] for line in block.splitlines() if "=" in line)
        states[pairs.get("Id", "")] = pairs
    records, now = _records(f"started {rest}" if rest else "")
    return {
        unit: Seen(state=state, started=records.get(unit, {}), now=now)
        for unit, state in states.items()
        if unit and state.get("LoadState") != "not-found"
    }


def _records(text: str) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    records: dict[str, dict[str, str]] = {}
    now: dict[str, str] = {}
    current = now
    for line in text.splitlines():
        if line.startswith("started "):
            current = records.setdefault(line.removeprefix("started "), {})
        elif line == "now":
            current = now
        elif match := _SUM.match(line) or _STAT.match(line):
            current[match[2]] = match[1]
    return records, now


def stale(want: Service, seen: Seen, changing: frozenset[str] = frozenset()) -> str:
    """Why a running unit must restart, or reload, or ``""``; *changing* are paths whose content this plan is about to change.

    A file that is put back to what the unit was started with is no reason; a binary is, as it becomes another inode.
    """
    if not seen.started:
        return f"{RESTART}: not known what it was started with"
    other = [p for p, digest in want.inputs.items() if seen.started.get(p) != digest]
    other += [p for p in want.binaries if p in changing or p not in seen.started or seen.started[p] != seen.now.get(p)]
    both = (("new", [p for p in other if p in changing]), ("started with another", [p for p in other if p not in changing]))
    parts = [f"{label} {', '.join(found)}" for label, found in both if found]
    return f"{RELOAD if want.reloads.issuperset(other) else RESTART}: {'; '.join(parts)}" if other else ""


def diff(want: Service, seen: Seen | None, changing: frozenset[str] = frozenset()) -> Difference | None:
    if seen is None:
        return Difference(action=Action.RUN, reason="new unit: enable and start")
    reasons = [] if seen.state.get("UnitFileState") == "enabled" else [f"{seen.state.get('UnitFileState') or 'not enabled'}, want enabled"]
    if not seen.active:
        reasons.append(f"{seen.state.get('ActiveState', 'unknown')}, want active")
    elif why := stale(want, seen, changing):
        reasons.append(why)
    elif seen.state.get("NeedDaemonReload") == "yes" and paths.unit(want.name) not in changing:  # the record tells of the text, not of what was read
        reasons.append(f"{RESTART}: systemd started it before it read its unit file")
    return Difference(action=Action.RUN, reason="; ".join(reasons)) if reasons else None


def commands(want: Service, difference: Difference) -> Order:
    """``--no-block``: members that need each other start together; the gate behind the stage waits for health.

    systemd remembers whether a known unit is enabled until it is reloaded; of a new one it knows nothing yet, so that saves a reload for each.
    """
    unit = sh(want.name)
    known = "" if difference.reason.startswith("new") else f"systemctl --quiet enable {unit}"
    enable = (known or f"systemctl --no-reload --quiet enable {unit}") if "enable" in difference.reason else ""
    only_enable = difference.reason.endswith("want enabled")
    verb = "" if only_enable else f"systemctl --no-block {'reload' if f'{RELOAD}:' in difference.reason else 'restart'} {unit}"
    ahead = want.ahead if f"{RESTART}:" in difference.reason else ""
    return Order(text=lines(f"systemctl reset-failed {unit} 2>/dev/null || :" if verb else "", enable, ahead, verb))
