"""How long a client of the API waits on a connection that went silent, in seconds; their sum must stay below the node grace period."""

from __future__ import annotations

from typing import Final

READ_IDLE_S: Final = 10
PING_S: Final = 5
