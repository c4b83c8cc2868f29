"""Whose a path is on a host, by the ledgers that lie there: a role that is applied by itself takes nothing from the cluster or another role."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

from kbootstrap.catalog import paths
from kbootstrap.errors import Problem
from kbootstrap.model.resource import Resource

EXCLUSIVE: Final = ("file", "binary", "service")  # a directory, a package or a setting may be wanted by several
_NEXT: Final = "ledger "


def probe(own: str) -> str:
    """sh text that shows every ledger of ours but *own*, each behind a line with its path."""
    return (
        f'for f in {paths.LEDGER} {paths.ROLE_LEDGERS}/*.json; do\n  [ ! -s "$f" ] || [ "$f" = {own} ] || {{ echo "{_NEXT}$f"; cat "$f"; }}\ndone\n'
    )


def parse(output: str) -> dict[str, str]:
    """Key → the ledger it is in. What is damaged owns nothing: its own run says so."""
    found: dict[str, str] = {}
    for part in f"\n{output}".split(f"\n{_NEXT}")[1:]:
        path, _, text = part.partition("\n")
        found |= dict.fromkeys(_keys(text), path)
    return found


def _keys(text: str) -> Iterator[str]:
    try:
        entries = json.loads(text)["entries"]
        yield from (key for key, entry in entries.items() if entry["kind"] in EXCLUSIVE)
    except (ValueError, KeyError, TypeError, AttributeError):
        return


def taken(wanted: Mapping[str, tuple[Resource, ...]], owners: Mapping[str, Mapping[str, str]]) -> list[Problem]:
    """What *wanted* (host → resources) would take from its owner (host → key → ledger)."""
    return [
        Problem(where=f"{host}:{one.key}", what=f"belongs to {_name(owners[host][one.key])}", hint="Two owners would undo each other's work.")
        for host, resources in wanted.items()
        for one in resources
        if one.kind in EXCLUSIVE and one.key in owners[host]
    ]


def _name(path: str) -> str:
    return "the cluster" if path == paths.LEDGER else f"the role {path.rsplit('/', 1)[-1].removesuffix('.json')}"
