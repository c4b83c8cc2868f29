"""What an unquoted scalar means, and which ones mean different things to different YAML readers.

YAML 1.1 (PyYAML, Ansible) and 1.2 (editors, Go) disagree on ``yes``, ``012``, ``1:30`` and others, and numbers lose their spelling (1.30 → 1.3).
Such a scalar is refused where its reading matters, with the form to write instead.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_DECIMAL: Final = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+")
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_OLD_BOOL: Final = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_NUMBER_LIKE: Final = (
    (re.compile(r"[-+]?0[0-7_]+"), "an octal number for some YAML readers"),
    (re.compile(r"[-+]?0[0-9_]+"), "a number with a leading zero"),
    (re.compile(r"[-+]?0[xX][0-9a-fA-F_]+|[-+]?0[oO][0-7_]+|[-+]?0[bB][01_]+"), "a number in another base"),
    (re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"), "a number in base 60 for some YAML readers"),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+"), "a number with an exponent for some YAML readers"),
    (re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"), "not a finite number"),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?"), "a date for some YAML readers"),
    (re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?|[-+]?\.[0-9_]+"), "a number that YAML readers write differently"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surprise:
    """Why *text* without quotes is not what it looks like, and what to write."""

    text: str
    read_as: str
    value: str = ""  # the form for a field that wants a truth value or a number

    @property
    def quoted(self) -> str:
        """The text in quotes."""
        return json.dumps(self.text, ensure_ascii=False)


class Surprising(str):
    """A plain scalar's text that must not be taken for text or value before somebody decides; ``str`` so that choices can compare it."""

    __slots__ = ()


def surprise(text: str) -> Surprise | None:
    """What is surprising about the plain scalar *text*, if anything."""
    if old := _OLD_BOOL.get(text.lower()):
        return Surprise(text=text, read_as=f"{old} for some YAML readers and text for others", value=old)
    if _INTEGER.fullmatch(text) or not text[:1] or text[0] not in "+-.0123456789":
        return None
    if _DECIMAL.fullmatch(text):
        number = str(float(text))
        return None if number == text else Surprise(text=text, read_as=f"the number {number} in YAML")
    for pattern, meaning in _NUMBER_LIKE:
        if pattern.fullmatch(text):
            digits = text.replace("_", "").lstrip("+")
            plain = digits.lstrip("0") or "0"
            return Surprise(text=text, read_as=meaning, value=plain if _INTEGER.fullmatch(plain) else "")
    return None


def plain_value(text: str) -> str | int | float | bool | None:
    """The value of the plain scalar *text*: what every YAML reader agrees on, or a ``Surprising`` text."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if surprise(text):
        return Surprising(text)
    return float(text) if _DECIMAL.fullmatch(text) else text
