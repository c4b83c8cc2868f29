"""Secrets out of text that people send to each other: keys, tokens, passwords, everything in PEM. Rather too much than too little."""

from __future__ import annotations

import re
from typing import Final

GONE: Final = "[redacted]"

_PEM: Final = re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL)
_JWT: Final = re.compile(r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?")
_BEARER: Final = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}")
_BOOTSTRAP: Final = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b")
_IN_URL: Final = re.compile(r"(\w://[^\s:/@]*):[^\s:/@]+@")
_NAMED: Final = re.compile(
    r"(?i)((?<![\w-])[\w-]*(?:password|passwd|passphrase|secret|token|api-?_?key|private-?_?key|access-?_?key|(?:key|certificate|authority)-data)"
    r"[\"']?\s*[=:]\s*)(?!\s*/)(\"[^\"]*\"|'[^']*'|[^\s\"',}]+)"
)
# Keys of 32 bytes, and lines of PEM that the journal cut apart. A digest in hexadecimal digits is no secret, nor is a path.
_BLOB: Final = re.compile(r"(?<![\w+/=])(?=[\w+/]*[a-z])(?=[\w+/]*[A-Z])(?=[\w+/]*\d)(?!/)[A-Za-z0-9+/]{40,}={0,2}(?![\w+/=])")


def redacted(text: str) -> str:
    """*text* without what looks like a secret."""
    text = _PEM.sub(GONE, text)
    text = _IN_URL.sub(rf"\1:{GONE}@", text)
    text = _BEARER.sub(rf"\1 {GONE}", text)
    text = _NAMED.sub(rf"\1{GONE}", text)
    for pattern in (_JWT, _BOOTSTRAP, _BLOB):
        text = pattern.sub(GONE, text)
    return text
