"""Kind ``swap``: off now, and off after a reboot."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kbootstrap.catalog import paths
from kbootstrap.model.plan import Action
from kbootstrap.model.resource import Swap
from kbootstrap.resources.difference import Difference, Order, lines, sh

MARK = "# kbootstrap: "  # before the lines of fstab that we disable
_FSTAB = r"^[^#[:space:]][^[:space:]]*[[:space:]]+[^[:space:]]+[[:space:]]+swap[[:space:]]"
_IS_ON = 'on() { while read -r n rest; do [ "$n" != "$1" ] || return 0; done </proc/swaps; return 1; }'
_ESCAPED = re.compile(r"\\([0-7]{3})")  # a blank in /proc/swaps


def probe(names: Sequence[str]) -> str:
    """What is on, with its priority where it was given one, and fstab's lines."""
    del names
    on = 'awk \'NR > 1 { print "on", $1 ($5 < 0 ? "" : " " $5) }\' /proc/swaps'
    return lines(on, f"[ ! -r /etc/fstab ] || grep -E '{_FSTAB}' /etc/fstab | sed 's/^/fstab /'", "true")


def parse(output: str) -> dict[str, tuple[str, ...]]:
    return {"swap": tuple(line for line in output.splitlines() if line.startswith(("on ", "fstab ")))}


def diff(want: Swap, seen: tuple[str, ...] | None) -> Difference | None:
    del want
    return Difference(action=Action.UPDATE, reason="; ".join(" ".join(s.split()) for s in seen) + "; want none") if seen else None


def commands(want: Swap, difference: Difference) -> Order:
    del want, difference
    keep = f"mkdir -p {paths.BEFORE}; [ -e {paths.BEFORE}/fstab ] || cp -a /etc/fstab {paths.BEFORE}/fstab"
    edit = f"sed -E -i.kb-new 's/({_FSTAB})/{MARK}\\1/' /etc/fstab; rm -f /etc/fstab.kb-new"
    return Order(text=lines("swapoff -a", f"[ ! -r /etc/fstab ] || {{ {keep}; {edit}; }}"))


def was_on(seen: Sequence[str]) -> list[str]:
    """What ``on_again`` needs to know of what is seen now."""
    return [line.removeprefix("on ") for line in seen if line.startswith("on ")]


def on_again(was: Sequence[str]) -> str:
    """sh text: fstab's lines come back, and just what was on (``was_on``) is switched on; it says what of it stays off."""
    return lines(f"[ ! -w /etc/fstab ] || sed -i 's/^{MARK}//' /etc/fstab", _IS_ON, *map(_switch_on, was))


def _switch_on(one: str) -> str:
    name, _, priority = one.partition(" ")
    place = _ESCAPED.sub(lambda match: chr(int(match[1], 8)), name)
    off = f"stays the swap {place} off, which was on before and does not come on again"
    return f"on {sh(name)} || swapon {f'-p {priority} ' if priority else ''}{sh(place)} 2>/dev/null || echo {sh(off)}"
