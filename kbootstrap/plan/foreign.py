"""Remains of other installers on a host: which there are, one by one, and how exactly these are removed. No packet rule of anybody else is touched.

What a package brought, and what its installer alone can remove, is told and stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Final

from kbootstrap.catalog import installers, paths, traces
from kbootstrap.catalog.installers import BY_NAME, INSTALLERS, Installer
from kbootstrap.model.plan import Action, Change
from kbootstrap.plan import foreign_sh as text
from kbootstrap.plan.leaving_sh import cgroups
from kbootstrap.resources.difference import sh


class Kind(StrEnum):
    """What a remain is. PACKAGE and LISTED are told only."""

    UNIT = "unit"
    PROCESS = "process"
    MOUNT = "mount"
    NAMESPACE = "namespace"
    INTERFACE = "interface"
    RULES = "rules"
    FILE = "file"
    PACKAGE = "package"
    LISTED = "listed"


TOLD: Final = (Kind.PACKAGE, Kind.LISTED)
_TITLES: Final = {
    Kind.UNIT: "units to stop and disable",
    Kind.PROCESS: "processes to end",
    Kind.MOUNT: "mounts",
    Kind.NAMESPACE: "network namespaces",
    Kind.INTERFACE: "interfaces",
    Kind.RULES: "packet rules (just these chains, and the rules that lead to them)",
    Kind.FILE: "files and folders",
    Kind.PACKAGE: "stays, for the host's package manager to remove",
    Kind.LISTED: "stays",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Remain:
    """One thing on a host. *of*: the installer's name, or ``installers.ANY``."""

    of: str
    kind: Kind
    what: str


def look() -> str:
    """sh text that tells every remain; ``parse`` reads its answer."""
    parts = {
        "installers": "".join(_installer(each) for each in INSTALLERS) + text.COMMANDS,
        "rules": text.RULES,
        "processes": _living(),
        "shared": " ".join(installers.SHARED),
        "links": " ".join(installers.LINKS),
        "commands": " ".join(installers.COMMANDS),
        "bin": paths.BIN,
    }
    return _filled(text.LOOK, **parts)


def _installer(each: Installer) -> str:
    if each.listed:
        return _filled(text.LISTED, signs=" ".join(each.signs), name=each.name)
    own = [unit for unit in each.units if unit not in installers.SHARED_UNITS]
    words = {"signs": each.signs, "units": each.units, "files": each.files, "own": own}
    body = _filled(text.INSTALLER, name=each.name, **{name: " ".join(found) for name, found in words.items()})
    return f'[ -n "$any" ] || {{\n{body}\n}}\n' if each.unnamed else body


def _living() -> str:
    """A program that was replaced or removed while it runs shows as deleted."""
    folders = {
        sign
        for each in INSTALLERS
        for sign in each.signs
        if not each.listed and not each.unnamed and sign.startswith(("/usr/local/bin/", "/var/lib/", "/opt/"))
    }
    programs = "|".join(f"{sign}|{sign}/*|{sign}' (deleted)'" for sign in sorted(folders))
    return _filled(text.PROCESSES, programs=programs, pods=installers.PODS)


def _filled(body: str, **parts: str) -> str:
    common = {
        "any": installers.ANY,
        "namespaces": traces.NAMESPACES,
        "prefix": traces.NAMESPACE_PREFIX,
        "tables": "|".join(installers.TABLES),
        "chains": "|".join(installers.CHAINS),
        "cni_table": installers.CNI_TABLE,
        "cni_chain": installers.CNI_CHAIN,
        "groups": "|".join(group.replace(".", r"\.") for group in traces.POD_CGROUPS),
    }
    for name, value in {**parts, **common, **parts}.items():  # first what may hold others, and of two the more particular
        body = body.replace(f"@{name}@", value)
    return body


def parse(output: str) -> tuple[Remain, ...]:
    """Each once, in the order in which it was told; what lies in a folder that goes is not told by itself."""
    rows = [line.split("\t", 2) for line in output.splitlines() if line.count("\t") >= 2]
    told = {(kind, what): Remain(of=of, kind=Kind(kind), what=what) for of, kind, what in reversed(rows)}
    files = {what for kind, what in told if kind == Kind.FILE}
    return tuple(
        remain
        for (kind, what), remain in reversed(told.items())
        if kind != Kind.FILE or not any(str(above) in files for above in PurePosixPath(what).parents)
    )


def removable(remains: Iterable[Remain]) -> tuple[Remain, ...]:
    """Those that ``removal`` removes."""
    return tuple(remain for remain in remains if remain.kind not in TOLD)


def describe(remains: Sequence[Remain]) -> Iterator[str]:
    """Every thing by its name, the installers first."""
    named = [name for name in dict.fromkeys(remain.of for remain in remains) if name != installers.ANY]
    yield f"left by {', '.join(named)}:" if named else "left by an installer that is not known:"
    for kind, title in _TITLES.items():
        if found := [remain for remain in remains if remain.kind is kind]:
            yield f"  {title}:"
            yield from (f"    {remain.what}" for remain in found)
    for name in (name for name in named if BY_NAME[name].listed):
        yield f"  {name} goes by its own way alone; run there: {BY_NAME[name].away}"
        yield f"  Interfaces, packet rules and pods may be those of {name}: they are looked for once it has gone."


def removal(host: str, remains: Sequence[Remain]) -> tuple[Change, ...]:
    """Exactly what was told, in an order in which nothing comes back: units, processes, mounts, interfaces, rules, files."""
    stays = any(remain.kind is Kind.LISTED for remain in remains)  # its pods live on

    def each(kind: Kind, commands: str) -> str:
        things = [remain.what for remain in remains if remain.kind is kind]
        return f"set -- {sh(*things)}\n{commands}" if things else ""

    steps = (
        ("units", each(Kind.UNIT, text.UNITS), 300.0),
        ("processes", ("listed=1\n" if stays else "") + _living() + _filled(text.KILL), 60.0),
        ("cgroups", "" if stays else cgroups([remain.what for remain in remains if remain.kind is Kind.UNIT]), 60.0),
        ("mounts", each(Kind.MOUNT, text.UNMOUNT) + each(Kind.NAMESPACE, text.NAMESPACES), 60.0),
        ("interfaces", each(Kind.INTERFACE, text.LINKS), 60.0),
        ("rules", _rules([remain.what for remain in remains if remain.kind is Kind.RULES]), 60.0),
        ("files", each(Kind.FILE, 'rm -rf --one-file-system -- "$@"\n'), 600.0),
        ("systemd", "systemctl daemon-reload\n", 60.0),
    )
    return tuple(
        Change(host=host, key=f"foreign/{name}", action=Action.DELETE, reason="left by another installer", commands=commands, deadline_s=deadline_s)
        for name, commands, deadline_s in steps
        if commands.strip()
    )


def _rules(rules: Sequence[str]) -> str:
    """Of the kinds of chains and tables that were told: those of the common plugins may be somebody else's."""
    legacy = [rule for rule in rules if "-legacy " in rule]
    plugins = any(rule.split()[-2:-1] == [installers.CNI_CHAIN] or rule.endswith(f" {installers.CNI_TABLE}") for rule in rules)
    chains = "|".join([*installers.CHAINS, *([installers.CNI_CHAIN] if plugins else [])])
    tables = "|".join([*installers.TABLES, *([installers.CNI_TABLE] if plugins else [])])
    body = (text.CLEAR_NFT if len(legacy) < len(rules) else "") + (text.CLEAR_LEGACY if legacy else "")
    return _filled(body, chains=chains, tables=tables)
