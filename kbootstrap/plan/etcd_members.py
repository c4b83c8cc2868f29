"""Who may leave etcd, and in which order: arithmetic with the members' list. Who does not answer goes first: that lowers what a quorum is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from kbootstrap.model.host import Host
from kbootstrap.render import etcd
from kbootstrap.report.etcd import Known


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """*order*: the members to take out, one after the other. With a *problem* none may go; *hint* says what would help."""

    order: tuple[Known, ...] = ()
    problem: str = ""
    hint: str = ""


def quorum(voters: int) -> int:
    """How many of *voters* must agree."""
    return voters // 2 + 1


def find(members: Sequence[Known], name: str, peer_url: str = "") -> Known | None:
    """The member called *name*; else the one at *peer_url*: one that has never started has no name yet, and a host may have had another one."""
    named = next((each for each in members if each.name == name), None)
    return named or next((each for each in members if peer_url in each.peer_urls), None)


def named(members: Sequence[Known], masters: Sequence[Host]) -> tuple[Known, ...]:
    """*members* by the names of *masters*, so that one whose ``cluster.up`` was cut off before its first start can leave, too."""
    mine = {found.id: host.name for host in masters if (found := find(members, host.name, etcd.peer_url(host)))}
    return tuple(replace(each, name=mine.get(each.id, each.name)) for each in members)


def removal(members: Sequence[Known], alive: Collection[str], names: Collection[str]) -> Removal:
    """Whether *names* may leave: at every step a majority of the voters that are left must be *alive* (answer and follow a leader).

    *members* are ``named``. Names that are no members are left out: they have gone already.
    """
    going = [each for each in members if each.name in names]
    order = sorted(going, key=lambda each: (not each.learner, each.name in alive))
    voters = {each.name for each in members if not each.learner}
    if not voters - set(names):
        hint = "One member must remain. To end the cluster: invoke cluster.down."
        return Removal(problem=f"{_listed(names)} would be the last to go: no member of etcd would be left", hint=hint)
    if order and len(voters & set(alive)) < quorum(len(voters)):
        living = _listed(voters & set(alive)) or "none"
        what = f"etcd has no quorum: of its {len(voters)} voting members {quorum(len(voters))} must answer, {living} does; nobody can leave now"
        return Removal(problem=what, hint=f"Bring {_listed(voters - set(alive))} back (systemctl start etcd). For good: invoke etcd.recover.")
    for each in order:
        voters -= {each.name}
        if problem := _without(voters, set(alive), each, members):
            return Removal(problem=problem, hint=_help(voters - set(alive), set(names), each))
    return Removal(order=tuple(order))


def _without(left: set[str], alive: set[str], gone: Known, members: Sequence[Known]) -> str:
    """Why *gone* must stay, or ``""``."""
    living = left & alive
    if gone.learner or len(living) >= quorum(len(left)):
        return ""
    count = sum(not each.learner for each in members)
    of = f"of the {len(left)} voting members that are left ({_listed(left)}) {quorum(len(left))} must answer"
    return f"removing {gone.name} would break etcd's quorum: {of}, {_listed(living) or 'none'} would (now there are {count})"


def _help(dead: set[str], going: set[str], gone: Known) -> str:
    others = sorted(dead - going)
    names = _listed(others or dead)
    return f"Bring {names} back first (systemctl start etcd), or remove {names} before {gone.name}."


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))
