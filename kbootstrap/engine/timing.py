"""How long work takes is told by whoever does it: a stage when it ends, and what is no change of a host under ``--timings``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kbootstrap.model.events import Listener, Span, StageFinished, StageStarted
from kbootstrap.store import clock


@contextmanager
def span(listener: Listener, label: str, host: str = "") -> Iterator[None]:
    """Tell *listener* at the end how long it took, whether it succeeded or not."""
    began = clock.monotonic_s()
    try:
        yield
    finally:
        listener(Span(host=host, label=label, seconds=clock.monotonic_s() - began))


@contextmanager
def stage(listener: Listener, name: str) -> Iterator[None]:
    """Tell *listener* that *name* begins, and its end if it comes to one: a stage that raises has none."""
    began = clock.monotonic_s()
    listener(StageStarted(stage=name))
    yield
    listener(StageFinished(stage=name, seconds=clock.monotonic_s() - began))
