"""What a task asks of the engine; apart from what carries it out, so that a command loads no more than it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kbootstrap.model.events import Listener
from kbootstrap.model.plan import Plan
from kbootstrap.store.folder import Folder

if TYPE_CHECKING:
    from kbootstrap.engine.prepared import Prepared
    from kbootstrap.remote.pool import Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the user asked for. *confirm* is asked with the plan before anything changes; *connect* opens the pool of a spec's hosts."""

    folder: Folder
    listener: Listener
    connect: Callable[[Prepared], Pool]
    confirm: Callable[[Plan], bool] = lambda plan: True
    limit: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    deep: bool = False
    take_lock: bool = False
