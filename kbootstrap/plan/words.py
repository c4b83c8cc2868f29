"""The last words of units that do not run as they should, and how they are read: what names a cause."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from kbootstrap.model.status import LOOPING
from kbootstrap.resources.difference import sh

_LINES: Final = 300  # etcd prints its whole usage behind the one line that matters

# Of a unit that runs only what it said since it began: what ended it before is history. ``journalctl -u`` would leave out what systemd's
# child says before it becomes the program («Failed to locate executable»): journald reads its cgroup from /proc, and it has ended by then
# (11 of 15 such lines on a quiet host); the field UNIT, which systemd writes itself, is always there.
_WORDS: Final = """\
systemctl show -p Id,ActiveState,NRestarts,InvocationID -- {units} | awk -F= -v all={all} '
  function told() {{ if (id != "" && (all || state != "active" || restarts >= {looping})) print id, (state == "active" && all ? run : "-") }}
  $1 == "Id" {{ id = $2 }} $1 == "ActiveState" {{ state = $2 }} $1 == "NRestarts" {{ restarts = $2 }} $1 == "InvocationID" {{ run = $2 }}
  $0 == "" {{ told(); id = "" }} END {{ told() }}' | while read -r u run; do
  echo "unit $u"
  case "$run" in
    -|'') set -- UNIT="$u" + _SYSTEMD_UNIT="$u" + COREDUMP_UNIT="$u" ;;
    *) set -- _SYSTEMD_INVOCATION_ID="$run" + INVOCATION_ID="$run" ;; esac
  timeout 10 journalctl -n {lines} --no-pager -o {form} "$@" 2>/dev/null | cut -c1-{width}
done
"""


def probe(units: Sequence[str], *, every: bool = False, times: bool = False) -> str:
    """sh text that prints ``unit <name>`` and then its last lines, of *units* that do not run or do not stay; *every*: of all."""
    if not units:
        return ""
    form = "short-iso" if times else "cat"
    return _WORDS.format(units=sh(*units), all=int(every), looping=LOOPING, lines=_LINES, form=form, width=600)


def parse(output: str) -> dict[str, tuple[str, ...]]:
    """Unit → its last lines, oldest first."""
    found = {}
    for part in re.split(r"^unit (?=\S+\.\w+$)", output, flags=re.MULTILINE)[1:]:
        name, _, text = part.partition("\n")
        found[name.strip()] = tuple(line for line in text.splitlines() if line.strip())
    return found
