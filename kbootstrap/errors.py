"""Every error a user can meet, with its exit code.

An error says what, where, what was expected, and the next command. Anything that is not a ``KbError`` is a bug:
``tasks/_common.py`` shows one line for it, saves the trace and exits 70.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong: *where* (``cluster.yml:12:5``, ``m1``, ``m1:/etc/x``), *what*, and the *hint* that mends it."""

    where: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.where}  {self.what}" if self.where else self.what
        stop = "" if text.endswith((".", "!", "?", ":", ";")) else "."
        return f"{text}{stop} {self.hint}" if self.hint else text


def counted(count: int, what: str) -> str:
    """``1 host``, ``3 hosts``, ``2 directories``: how every text counts."""
    several = f"{what[:-1]}ies" if what.endswith("y") and what[-2:-1] not in "aeou" else f"{what}s"
    return f"{count} {what if count == 1 else several}"


class KbError(Exception):
    """Base of every expected error; ``hint`` is the next command or edit, ``problems`` keeps many hosts' errors as objects.

    An autopsy adds ``causes``, each with its own repair, and ``bundle``, the file with all that was seen. ``about`` tells it where to look: the
    problems, also those that were told before.
    """

    exit_code: ClassVar[int] = 5

    def __init__(self, message: str, *, hint: str = "", host: str = "", problems: Iterable[Problem] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.host = host
        self.problems = tuple(problems)
        self.about = self.problems
        self.causes: tuple[Problem, ...] = ()
        self.bundle = ""

    @property
    def problem(self) -> Problem:
        """This error as one of several hosts' problems."""
        return Problem(where=self.host, what=self.message, hint=self.hint)

    def __str__(self) -> str:
        return f"{self.host}: {self.message}" if self.host else self.message


class UsageError(KbError):
    """The command line itself is wrong (unknown cluster, missing option)."""

    exit_code = 2


class InventoryError(KbError):
    """``cluster.yml`` or what lies beside it cannot be used; nothing was contacted."""

    exit_code = 2


class RoleError(KbError):
    """A ``role.yml`` breaks the closed vocabulary."""

    exit_code = 2


class TemplateError(KbError):
    """A template does not render, or renders something invalid."""

    exit_code = 2


class ConnectError(KbError):
    """A host cannot be reached; safe to retry, nothing was changed on it by the failed attempt."""

    exit_code = 3


class AuthError(ConnectError):
    """The host refused every key that was offered."""


class HostKeyError(ConnectError):
    """The host's key is unknown or has changed; never overridden by a flag."""


class PrivilegeError(ConnectError):
    """Logged in, but root cannot be had (sudo password, sudoers)."""


class LockError(KbError):
    """Another run holds the cluster or a host."""

    exit_code = 3


class PreflightError(KbError):
    """A host is not fit; found before any change."""

    exit_code = 4


class CommandError(KbError):
    """A remote command failed or ran out of its deadline."""


class ApplyError(KbError):
    """Changes failed on one or more hosts; run the same command again after the cause is mended."""


class VerifyError(KbError):
    """Everything was applied, and yet the cluster is not healthy or a new plan is not empty."""


class ArtifactError(KbError):
    """A binary or image cannot be had, or its checksum is wrong; nothing unverified is ever used."""


class ChecksumError(ArtifactError):
    """Content differs from its published, pinned or recorded checksum: damaged or tampered with; moved to quarantine, no other source is tried."""


class UnavailableError(ArtifactError):
    """One source cannot give an artifact (unreachable, not there, not pinned, no compiler); another source may."""


class OfflineError(ArtifactError):
    """``offline: true``: something is not in the cache, or a connection would have gone to somebody who is no host of the inventory."""


class PkiError(KbError):
    """The PKI directory is missing, damaged, unsafe, or belongs to another cluster: not the command line is wrong (2), but what lies on the disk.
    Nothing is regenerated implicitly."""

    exit_code = 6
