"""What the cluster's known_hosts says about the keys that hosts show, and the text with new ones. Pure.

Whether a fingerprint is right only a person can tell: keyscan.py collects, this module compares, ``tasks/inventory.py`` shows and asks.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from enum import StrEnum

from kbootstrap.errors import HostKeyError
from kbootstrap.remote import hostkeys
from kbootstrap.remote.hostkeys import KnownHosts, fingerprint
from kbootstrap.remote.keyscan import Seen


class Verdict(StrEnum):
    """What known_hosts says about the keys that a host showed."""

    NEW = "new"
    KNOWN = "known"
    CHANGED = "changed"
    REVOKED = "revoked"


def verdict(known: KnownHosts, seen: Seen) -> Verdict:
    """A key that is recorded must still be shown: another key of its type, or none of the recorded types at all, is a change."""
    name = seen.target.name
    shown = {key.kind: key.blob for key in seen.keys}
    if any(record.blob in shown.values() for record in known.of(name, "@revoked")):
        return Verdict.REVOKED
    recorded = known.of(name)
    if not recorded:
        return Verdict.NEW
    matching = {record.kind for record in recorded if shown.get(record.kind) == record.blob}
    differing = {record.kind for record in recorded if record.kind in shown} - matching
    return Verdict.CHANGED if differing or not matching else Verdict.KNOWN


def refusal(known: KnownHosts, seen: Seen) -> HostKeyError:
    """The error for a changed or revoked key: both fingerprints, and the lines to remove if the host was really reinstalled."""
    name, names = seen.target.name, ", ".join(seen.target.names)
    shown = ", ".join(map(str, seen.keys))
    if verdict(known, seen) is Verdict.REVOKED:
        return HostKeyError(f"{name} shows a key that {known.path} lists as revoked: {shown}", hint="Do not connect.", host=names)
    recorded = known.of(name)
    old = ", ".join(f"{record.kind} {fingerprint(record.blob)} (line {record.number})" for record in recorded)
    lines = ", ".join(str(record.number) for record in recorded)
    return HostKeyError(
        f"THE HOST KEY OF {name} HAS CHANGED. Recorded in {known.path}: {old}; the host shows: {shown}",
        hint=f"Someone may be in between. If the host was reinstalled, remove line {lines} of {known.path} and run this again.",
        host=names,
    )


def added(text: str, seen: Iterable[Seen]) -> str:
    """The known_hosts text with the keys of *seen* behind it; every line that was there stays as it is."""
    records = {(record.names, record.kind, record.blob) for record in hostkeys.parse(text)}
    lines = [text if not text or text.endswith("\n") else f"{text}\n"]
    for door in seen:
        for key in door.keys:
            if (door.target.name, key.kind, key.blob) not in records:
                lines.append(f"{door.target.name} {key.kind} {base64.b64encode(key.blob).decode()}\n")
    return "".join(lines)
