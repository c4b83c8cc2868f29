"""How many may knock at one sshd at a time: as many as like, until it turns one away unread (MaxStartups), then fewer, and slowly more again.

One sshd is the door to many hosts when it is their bastion. Whoever waits for a turn loses none of its own deadline.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

PATIENCE_S: Final = 90.0  # how long an sshd that has let somebody in may turn one away before that one gives up


class Door:
    """One sshd, as those see it who want in. *opened*: it has let somebody in, so it is an sshd, and only busy when it drops one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._knocking = 0
        self._most = 0.0  # no limit until somebody is turned away
        self.opened = False

    @contextmanager
    def turn(self) -> Iterator[float]:
        """While one tries to log in; gives the seconds that it had to wait for it."""
        began = time.monotonic()
        with self._changed:
            self._changed.wait_for(lambda: not self._most or self._knocking < int(self._most), timeout=PATIENCE_S)
            self._knocking += 1
        try:
            yield time.monotonic() - began
        finally:
            with self._changed:
                self._knocking -= 1
                self._changed.notify_all()

    def turned_away(self) -> None:
        """Half as many from now on, to be called within the turn."""
        with self._changed:
            self._most = max(1.0, min(self._most or self._knocking, self._knocking) / 2)

    def let_in(self) -> None:
        """One more, once as many as now may come have been let in."""
        with self._changed:
            self.opened = True
            self._most += 1 / self._most if self._most else 0.0
            self._changed.notify_all()


_DOORS: dict[tuple[str, int], Door] = {}
_ONE: Final = threading.Lock()


def door(address: tuple[str, int]) -> Door:
    """The door at *address* (host and port), the same for everybody in this process."""
    with _ONE:
        return _DOORS.setdefault(address, Door())
