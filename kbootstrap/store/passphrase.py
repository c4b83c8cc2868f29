"""Where passphrases come from: as the terminal and the clock, a thing of the operator's machine, of which a process has one.

Whoever starts work for a user says how to ask (``SOURCE``); whoever meets something locked asks. Nothing is asked before something is locked.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

from kbootstrap.model.pki import no_passphrase

SOURCE: Final[ContextVar[Callable[[str], bytes]]] = ContextVar("passphrases", default=no_passphrase)


def ask(what: str) -> bytes:
    """The passphrase of *what* (``the CA keys``). PkiError when it cannot be had."""
    return SOURCE.get()(what)
