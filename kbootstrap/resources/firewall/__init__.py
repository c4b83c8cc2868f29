"""Kind ``firewall``: what the cluster needs of the firewall that is there, in whatever drops packets.

A packet must pass every filter of its hook: ufw, firewalld, and each base chain that somebody wrote. So each that drops is opened, and nothing is
ever disabled: ufw and firewalld in their own permanent configuration, other chains by a jump at their head to a chain of ours in the same table.
All of it is done by one script on the host (``script.py``), because rules must come back after a reload without us; ``look.py`` reads what is
there, ``rules.py`` says a rule in the words of each tool. May import what ``resources`` may.
"""

from __future__ import annotations

from dataclasses import dataclass

from kbootstrap.catalog import paths
from kbootstrap.model.plan import Action
from kbootstrap.model.resource import Firewall
from kbootstrap.resources.difference import Difference, Order, lines
from kbootstrap.resources.firewall import look, script
from kbootstrap.resources.firewall.look import Seen

GUARD = script.ARM
"""In the commands of a change that is taken back unless somebody confirms it."""
CONFIRM = f"sh {paths.FIREWALL_SCRIPT} confirm\n"
UNCONFIRMED = script.UNCONFIRMED

CLOSE = lines(f"[ ! -e {paths.FIREWALL_SCRIPT} ] || sh {paths.FIREWALL_SCRIPT} close", f"rm -f -- {paths.FIREWALL_SCRIPT} {paths.FIREWALL_SCRIPT}.*")
"""Takes away exactly what is ours, once the watcher is gone."""

probe = look.probe
parse = look.parse


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening(Difference):
    """A difference that knows what was seen: which port SSH really uses is known by the host alone."""

    seen: Seen


def diff(want: Firewall, seen: Seen | None) -> Difference | None:
    seen = seen or Seen()
    if not want.opens:
        return None
    wanted = script.complete(want, seen.ssh_ports)
    reasons = look.missing(seen, script.tag(wanted), script.counts(wanted), strict=want.strict)
    if not reasons and seen.script_sha256 != script.sha256(script.build(wanted)):
        reasons = [
            "the host's own copy of the rules differs"
            if seen.filters
            else "no firewall is active: the rules are kept ready for one that is switched on later"
        ]
    if not reasons:
        return None
    before = "".join(f"{line}\n" for line in seen.allowed)
    action = Action.UPDATE if seen.allowed else Action.CREATE
    return Opening(action=action, reason="; ".join(reasons), before=before, after=look.texts(wanted), seen=seen)


def commands(want: Firewall, difference: Difference) -> Order:
    """The new script in place of the old one, which stays beside it until the change is confirmed; the guard is armed before anything changes."""
    seen = difference.seen if isinstance(difference, Opening) else Seen()
    content = script.build(script.complete(want, seen.ssh_ports))
    risky = bool(seen.filters) or want.strict
    return Order(text=lines(*script.install(len(content), guard_s=want.guard_s if risky else 0)), payload=content, deadline_s=120)
