"""What a bundle says of itself: ``bundle.json``, the first member of its tar. Its text may be anybody's."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

_FORMAT: Final = 1
_PLACE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*(/[A-Za-z0-9][A-Za-z0-9._+-]*)+")
_RECORD: Final = ".json"  # beside each file of a cache


class LaterFormatError(ValueError):
    """A later version of this program wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One file of the cache, at *place* in it. *origin* and *extra* are its record's."""

    name: str
    version: str
    place: str
    sha256: str
    size: int
    mode: int
    origin: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a bundle holds: everything for *kubernetes* on *arch*; *versions* are those of the other components."""

    kubernetes: str
    arch: str
    versions: Mapping[str, str]
    items: tuple[Item, ...]

    def text(self) -> bytes:
        """JSON with sorted keys: equal contents are equal bytes."""
        return (json.dumps({"format": _FORMAT, **asdict(self)}, sort_keys=True, indent=1) + "\n").encode()

    @property
    def size(self) -> int:
        """Of the file: headers and padding of tar are part of it."""
        members = [len(self.text()), *(item.size for item in self.items)]
        plain = sum(tarfile.BLOCKSIZE + _padded(size, tarfile.BLOCKSIZE) for size in members) + 2 * tarfile.BLOCKSIZE
        return _padded(plain, tarfile.RECORDSIZE)


def _padded(size: int, unit: int) -> int:
    return -(-size // unit) * unit


def parse(text: bytes) -> Content:
    """What ``Content.text`` wrote. ValueError for anything else, and for a place that no cache has."""
    try:
        document: dict[str, Any] = json.loads(text)
        if document.pop("format") != _FORMAT:
            raise LaterFormatError
        items = tuple(_item(item) for item in document.pop("items"))
        content = Content(**document, items=items)
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    if not _are_texts(content.kubernetes, content.arch) or not _names_texts(content.versions):
        raise ValueError("it names no versions")
    places = [item.place for item in items]
    odd = [place for place in places if not _PLACE.fullmatch(place) or place.endswith(_RECORD)]
    if odd or len({*places}) != len(places):
        raise ValueError(f"it names places that no cache has: {', '.join(odd) or 'one twice'}")
    return content


def _item(fields: Mapping[str, Any]) -> Item:
    found = Item(**fields)
    texts = _are_texts(found.name, found.version, found.place, found.sha256) and _names_texts(found.origin) and _names_texts(found.extra)
    if not texts or type(found.size) is not int or type(found.mode) is not int or found.size < 0 or not 0 <= found.mode <= 0o777:
        raise ValueError(f"{found.place!r} is described by other values than a cache has")
    return found


def _are_texts(*values: object) -> bool:
    return all(isinstance(each, str) for each in values)


def _names_texts(value: object) -> bool:
    return isinstance(value, dict) and _are_texts(*value.values())
