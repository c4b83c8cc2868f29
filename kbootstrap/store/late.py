"""``httpx``, imported when it is first used: most runs download nothing, and its import is a tenth of what such a run costs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx
else:

    class _Late:
        """Every attribute is the module's own. Not ``importlib.util.LazyLoader``: two threads that use it first break it (Python < 3.11.9)."""

        def __getattr__(self, name: str) -> Any:
            return getattr(importlib.import_module("httpx"), name)

    httpx = _Late()

__all__ = ["httpx"]
