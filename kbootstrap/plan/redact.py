"""Secrets out of text that people send to each other: keys, tokens, passwords, everything in PEM. Rather too much than too little."""

from __future__ import annotations

import re
from typing import Final

GONE: Final = "[redacted]"

_PEM: Final = re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL)
_JWT: Final = re.compile(r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?")
_BEARER: Final = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}")
_BOOTSTRAP: Final = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b")
_IN_URL: Final = re.compile(r"(\w://[^\s:/@]*):[^\s/@]+@")
_TOKEN_IN_URL: Final = re.compile(r"(?i)\b(https?://)[^\s:/@\"'\\]+@")

_START: Final = r"(?<![\w-])(?!(?<=/)[\w-]+:\s)"  # not «/run/token: no such file»
_PHRASE: Final = r"[\w-]*(?:password|passwd|passphrase|pwd)"
_NAME: Final = rf"(?:{_PHRASE}|[\w-]*(?:secret|token|(?:api|private|access|secret)[-_]*key|(?:key|certificate|authority)-data))"
_IS: Final = r"\\*[\"']?\s*[=:]\s*"
# JSON inside a quoted message has backslashes before its quotes: what opens a value ends it.
_QUOTED: Final = r"(?P<quote>\\*[\"']).*?(?:(?<!\\)(?P=quote)|$)"
_VALUE: Final = rf"(?:{_QUOTED}|(?:[^\s\"',}}\\]|\\(?![\\\"']))+)"
_NAMED: Final = (
    re.compile(rf"(?i)(?P<name>{_START}{_PHRASE}:[ \t]*)(?P<value>(?![\\\"'])[^\s\"'][^\n\"']*)"),  # of many words
    re.compile(rf"(?im)(?P<name>{_START}{_NAME}{_IS})(?P<value>{_VALUE})"),
    # «--token abc», not «the flag --token is …»
    re.compile(rf"(?im)(?P<name>{_START}(?=--){_NAME}\s+)(?!-|(?:is|has|was|must|cannot|and|or|for|flag)\b)(?P<value>{_VALUE})"),
    # «auth» is a word of many messages: only where its value is quoted, or is none
    re.compile(rf"(?m)(?P<name>{_START}(?i:auth){_IS})(?P<value>{_QUOTED}|(?=[\w+/-]*[A-Z0-9=])[\w+/-]{{6,}}={{0,2}})"),
)
# Keys of 32 bytes, and lines of PEM that the journal cut apart. A digest in hexadecimal digits is no secret, nor is the fingerprint of a host's key.
_BLOB: Final = re.compile(r"(?<![\w+/-])(?<!SHA256:)[\w+/-]{40,}={0,2}(?![\w+/=-])", re.ASCII)
_RUN: Final = re.compile(r"[A-Za-z0-9]{8,}")


def redacted(text: str) -> str:
    """*text* without what looks like a secret."""
    text = _PEM.sub(GONE, text)
    text = _IN_URL.sub(rf"\1:{GONE}@", text)
    text = _TOKEN_IN_URL.sub(rf"\1{GONE}@", text)
    text = _BEARER.sub(rf"\1 {GONE}", text)
    for named in _NAMED:
        text = named.sub(_named, text)
    for pattern in (_JWT, _BOOTSTRAP):
        text = pattern.sub(GONE, text)
    return _BLOB.sub(_blob, text)


def _named(found: re.Match[str]) -> str:
    """A path stays: it says where the secret lies. A key may begin with a slash, too."""
    value = found["value"].strip("\\\"'")
    return found[0] if value.startswith("/") and not _is_key(value) else found["name"] + GONE


def _blob(found: re.Match[str]) -> str:
    """Paths, and names with a time in them, have the characters of base64, too."""
    text = found[0]
    plain = not text.startswith("/") and not {"-", "_"}.intersection(text)
    return GONE if (_mixed(text) if plain else _is_key(text)) else text


def _is_key(text: str) -> bool:
    """Padded, or with a stretch in which capitals, small letters and digits are mixed: no word of a path is, and no time."""
    return text.endswith("=") or any(map(_mixed, _RUN.findall(text)))


def _mixed(text: str) -> bool:
    return all(any(test(letter) for letter in text) for test in (str.islower, str.isupper, str.isdigit))
