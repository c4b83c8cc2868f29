"""Times that more than one module must agree on, in seconds."""

from __future__ import annotations

from typing import Final

# Go's HTTP/2 clients leave a silent connection after the sum of these; they reach the daemons as HTTP2_READ_IDLE_TIMEOUT_SECONDS and
# HTTP2_PING_TIMEOUT_SECONDS. kube-controller-manager documents that the node grace period must be greater than their sum.
HTTP2_READ_IDLE_S: Final = 10
HTTP2_PING_S: Final = 5
