"""Work that is no change of a host still takes time: who does it says so, and ``--timings`` shows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kbootstrap.model.events import Listener, Span
from kbootstrap.store import clock


@contextmanager
def span(listener: Listener, label: str, host: str = "") -> Iterator[None]:
    """Tell *listener* at the end how long it took, whether it succeeded or not."""
    began = clock.monotonic_s()
    try:
        yield
    finally:
        listener(Span(host=host, label=label, seconds=clock.monotonic_s() - began))
