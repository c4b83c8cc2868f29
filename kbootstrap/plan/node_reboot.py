"""Reboots: in which order, and the sh texts. Workers first: what a new kernel breaks shows where no quorum is at stake; etcd's leader last, so that
it hands over once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from kbootstrap.model.host import Host
from kbootstrap.model.plan import Gate
from kbootstrap.plan.checks import gates
from kbootstrap.plan.etcd_members import quorum
from kbootstrap.plan.ledger import Ledger
from kbootstrap.resources.difference import sh

BACK_S: Final = 600
_BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"
# A unit of its own: it outlives the channel that starts it, which then ends well instead of being cut off. A second for that.
REBOOT: Final = "systemd-run --quiet --collect --no-block sh -c 'sleep 1; exec systemctl reboot'\n"


def order(hosts: Iterable[Host], leader: str) -> tuple[Host, ...]:
    """*leader* is the name of the master whose etcd leads."""
    return tuple(sorted(hosts, key=lambda host: (host.is_master, host.name == leader)))


def look(ledger: Ledger) -> str:
    """sh text that tells the boot's id, and which of our units are active."""
    units = [key.removeprefix("service/") for key, entry in ledger.entries.items() if entry["kind"] == "service"]
    text = f"cat {_BOOT_ID}\n"
    return text + (f'for u in {sh(*units)}; do if systemctl is-active --quiet "$u"; then echo "$u"; fi; done\n' if units else "")


def seen(output: str) -> tuple[str, tuple[str, ...]]:
    """The boot's id and the active units, of what ``look`` prints."""
    boot, *units = output.split()
    return boot, tuple(units)


def breaks(host: str, voters: Collection[str], alive: Collection[str]) -> str:
    """Why etcd has no quorum while the member of *host* is away, or "": it has one. *voters* is empty where no majority tells who they are."""
    if not voters:
        return "no majority of etcd's members answers"
    if host not in voters or len(set(alive) & set(voters) - {host}) >= quorum(len(voters)):
        return ""
    if len(voters) == 1:
        return "is etcd's only member: the API stands still while it is away"
    dead = sorted(set(voters) - set(alive) - {host})
    return f"is needed for etcd's quorum ({quorum(len(voters))} of {len(voters)}): {', '.join(dead) or 'nobody else'} does not follow"


def back(host: Host, units: Sequence[str], wait_s: int) -> tuple[Gate, ...]:
    """What holds once *host* serves again: its units run, and a master's etcd and API server answer."""
    found = [gates.wait("units-active", f"systemctl is-active {sh(*units)}", units, wait_s)] if units else []
    if host.is_master:
        found += [gates.HEALTH["etcd-endpoint"](host, ["etcd.service"]), gates.HEALTH["apiserver-readyz"](host, ["kube-apiserver.service"])]
    return tuple(found)
