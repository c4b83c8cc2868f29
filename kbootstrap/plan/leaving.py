"""How a host is left: from its ledger alone to the changes that take away what we brought and bring back what was there before.

Each change does nothing where its work is done already, so that an interrupted ``cluster.down`` is finished by the next. Backups stay until
``FORGET``: an ``up`` that comes in between still finds them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kbootstrap.catalog import paths
from kbootstrap.model.plan import Action, Change
from kbootstrap.plan import leaving_sh as text
from kbootstrap.plan.leaving_proof import KINDS, proof
from kbootstrap.plan.ledger import Ledger
from kbootstrap.resources import firewall, stat, swap
from kbootstrap.resources.difference import lines, sh

FORGET = f"rm -rf --one-file-system -- {paths.STATE}\nrm -f -- {paths.LEDGER}\nrmdir -- {paths.LEDGER.rpartition('/')[0]}\n"
"""The last step, once all others succeeded: without a ledger the host is a stranger again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """*changes* in their order; *removes* and *restores* say what they amount to, *stays* what is left on purpose."""

    changes: tuple[Change, ...]
    removes: Mapping[str, int]
    restores: tuple[str, ...]
    stays: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Was:
    """A ledger's entries of one kind, by name (path); the value is what was there before."""

    entries: Mapping[str, Any]

    @property
    def absent(self) -> tuple[str, ...]:
        return tuple(name for name, before in self.entries.items() if before is None)

    @property
    def there(self) -> dict[str, Any]:
        return {name: before for name, before in self.entries.items() if before is not None}


def leave(host: str, ledger: Ledger, *, sysctl: str) -> Leaving:
    """The way out of *host*; *sysctl* is its setting ``host.sysctl``: what the inventory keeps us from writing is not written back either."""
    units, data = _of(ledger, "service"), _of(ledger, "data")
    directories, replaced = _split(_of(ledger, "directory"))
    files = _Was({**_of(ledger, "file").entries, **_of(ledger, "binary").entries})
    users = _of(ledger, "user")
    settings = {name: value for name, value in _of(ledger, "sysctl").there.items() if _writable(name, sysctl)}
    steps = (
        ("units", _units(tuple(units.entries)), 150.0),
        ("firewall", firewall.CLOSE if _of(ledger, "firewall").entries else "", 60.0),
        ("processes", text.processes(tuple(units.entries)), 60.0),
        ("mounts", text.mounts(data.entries), 60.0),
        ("network", text.network(tuple(_of(ledger, "nft").entries)), 60.0),
        ("cgroups", text.cgroups(tuple(units.entries)), 60.0),
        ("files", lines(*_files(files)), 60.0),
        ("data", lines(*_data(data)), 600.0),
        ("directories", lines(*_directories(directories), *_files(replaced)), 60.0),
        ("users", lines(*_users(users.absent, tuple(_of(ledger, "group").entries))), 60.0),
        ("settings", lines(*_settings(settings), *map(swap.on_again, _of(ledger, "swap").there.values())), 60.0),
        ("systemd", lines(*_systemd(units)), 60.0),
        ("proof", proof({kind: _of(ledger, kind).entries for kind in KINDS}, settings), 60.0),
    )
    made = {*directories.absent, *data.absent}
    counts = {"file": len(files.absent), "unit": len(units.entries), "directory": len(made), "user": len(users.absent)}
    return Leaving(
        changes=tuple(_change(host, name, commands, deadline_s) for name, commands, deadline_s in steps if commands.strip()),
        removes=counts,
        restores=(*sorted({**files.there, **replaced.there}), *(u for u, was in units.there.items() if was.get("active") or was.get("enabled"))),
        stays=tuple(_stays(ledger)),
    )


def _of(ledger: Ledger, kind: str) -> _Was:
    return _Was({key.removeprefix(f"{kind}/"): entry["before"] for key, entry in ledger.entries.items() if entry["kind"] == kind})


def _split(directories: _Was) -> tuple[_Was, _Was]:
    """Directories, and those that stand where something else was: a backup's path is what they were."""
    replaced = {path: was for path, was in directories.entries.items() if isinstance(was, str)}
    ours = {path: None if path in replaced else was for path, was in directories.entries.items()}
    return _Was(ours), _Was(replaced)


def _writable(name: str, sysctl: str) -> bool:
    return sysctl == "all" or (sysctl == "namespaced" and name.startswith("net."))


def _change(host: str, name: str, commands: str, deadline_s: float) -> Change:
    return Change(host=host, key=f"leave/{name}", action=Action.DELETE, reason="the host leaves", commands=commands, deadline_s=deadline_s)


def _stays(ledger: Ledger) -> Iterator[str]:
    packages, modules = _of(ledger, "package").absent, _of(ledger, "module").absent
    if packages:
        yield f"package {', '.join(packages)}"
    if modules:
        yield f"kernel module {', '.join(modules)} until the next boot"
    for path, was in _of(ledger, "data").there.items():
        if was["names"]:
            yield f"{path}/{{{','.join(sorted(was['names'])[:5])}{',…' if len(was['names']) > 5 else ''}}}, which was there before"


def _units(units: Sequence[str]) -> str:
    return text.UNITS.format(units=sh(*units)) if units else ""


def _systemd(units: _Was) -> Iterator[str]:
    """What was there before us runs again where it ran, now that its unit file is back."""
    yield "systemctl daemon-reload"
    yield from (f"systemctl reset-failed {sh(unit)} 2>/dev/null || :" for unit in units.entries)
    for unit, was in units.there.items():
        there = f"! systemctl cat {sh(unit)} >/dev/null 2>&1"
        if was.get("enabled"):
            yield f"{there} || systemctl --quiet enable {sh(unit)}"
        if was.get("active"):
            yield f"{there} || systemctl --no-block start {sh(unit)}"


def _files(files: _Was) -> Iterator[str]:
    """Backups are copied, not moved: nothing is lost whenever this is interrupted."""
    if files.entries:
        yield "rm -f -- " + sh(*(stat.temporary(path) for path in files.entries))
    if files.absent:
        yield "rm -f -- " + sh(*files.absent)
    for path, backup in files.there.items():
        new, kept = sh(stat.temporary(path)), sh(str(backup))
        clear = f"[ ! -d {kept} ] || rm -f -- {sh(path)}"
        yield f"[ ! -e {kept} ] && [ ! -L {kept} ] || {{ rm -rf -- {new}; cp -a -- {kept} {new}; {clear}; mv -fT -- {new} {sh(path)}; }}"


def _data(data: _Was) -> Iterator[str]:
    if data.absent:
        yield "rm -rf --one-file-system -- " + sh(*data.absent)
    for path, was in data.there.items():
        clear = f"find -H {sh(path)} -mindepth 1 -maxdepth 1 {text.but(was['names'])} -exec rm -rf --one-file-system -- {{}} +"
        yield f"[ ! -d {sh(path)} ] || {{ {clear}; {_attributes(path, was)}; }}"


def _attributes(path: str, was: Mapping[str, str]) -> str:
    return f"chown -- {sh(was['owner'], path)}; chmod -- {sh(was['mode'], path)}"


def _directories(directories: _Was) -> Iterator[str]:
    """Deepest first. What somebody else has put into a directory of ours keeps it."""
    for path in sorted(directories.absent, reverse=True):
        yield f"[ ! -d {sh(path)} ] || rmdir -- {sh(path)} 2>/dev/null || echo {sh(f'stays {path}, which holds what is not ours')}"
    for path, was in directories.there.items():
        yield f"[ ! -d {sh(path)} ] || {{ {_attributes(path, was)}; }}"


def _users(users: Sequence[str], groups: Sequence[str]) -> Iterator[str]:
    """userdel takes the group of the same name along, so a group that was there before is left first."""
    for user in users:
        name = sh(user)
        aside = "usermod --gid $(getent group nogroup >/dev/null && echo nogroup || echo nobody) " + name + "; " if user in groups else ""
        yield f"! getent passwd {name} >/dev/null || {{ {aside}userdel {name}; }}"
        if user not in groups:
            yield f"! getent group {name} >/dev/null || groupdel {name}"


def _settings(settings: Mapping[str, str]) -> Iterator[str]:
    """ip_forward first: writing it resets others."""
    for name in sorted(settings, key=lambda name: (name != "net.ipv4.ip_forward", name)):
        file = sh("/proc/sys/" + name.replace(".", "/"))
        yield f"[ ! -w {file} ] || printf '%s\\n' {sh(settings[name])} > {file}"
