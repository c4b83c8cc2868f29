"""Markup by construction: whatever is not ``Html`` already is text and gets escaped, so no text can become an element or leave an attribute."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from typing import Final

# A terminal's escapes, NUL and the signs that turn the direction of writing round have no place in a report, and could hide what a rule says.
_UNSEEN: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_VOID: Final = frozenset({"meta", "link", "br"})
Attribute = str | int | float | None


class Html(str):
    """Markup. Only this module makes it from text."""

    __slots__ = ()


def clean(value: str) -> str:
    """*value* as it is shown: what cannot be seen is replaced by a sign that can."""
    return _UNSEEN.sub("\ufffd", value)


def text(value: object) -> Html:
    """*value* as text."""
    return value if isinstance(value, Html) else Html(escape(clean(str(value)), quote=True))


def join(parts: Iterable[object], between: str = "") -> Html:
    """*parts* one after the other, with *between* (text) in between."""
    return Html(text(between).join(text(part) for part in parts))


def el(name: str, /, *children: object, **attributes: Attribute) -> Html:
    """An element. In names of attributes a trailing ``_`` falls away and others become ``-``; None leaves the attribute out."""
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(_number(value) if isinstance(value, float) else value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{said}>" if name in _VOID else f"<{name}{said}>{join(children)}</{name}>")


def _number(value: float) -> str:
    """A coordinate, without a tail of digits."""
    return f"{value:.1f}".removesuffix(".0")
