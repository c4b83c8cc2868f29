"""Kind ``swap``: off now, and off after a reboot."""

from __future__ import annotations

from collections.abc import Sequence

from kbootstrap.catalog import paths
from kbootstrap.model.plan import Action
from kbootstrap.model.resource import Swap
from kbootstrap.resources.difference import Difference, Order, lines

MARK = "# kbootstrap: "  # before the lines of fstab that we disable
_FSTAB = r"^[^#[:space:]][^[:space:]]*[[:space:]]+[^[:space:]]+[[:space:]]+swap[[:space:]]"


def probe(names: Sequence[str]) -> str:
    del names
    return f"tail -n +2 /proc/swaps | sed 's/ .*//; s/^/on /'\n[ ! -r /etc/fstab ] || grep -E '{_FSTAB}' /etc/fstab | sed 's/^/fstab /'\ntrue\n"


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
