"""kube-scheduler: flags only, since with a configuration file it ignores the flags that auditors read."""

from __future__ import annotations

from typing import Final

from kbootstrap.catalog.ports import SCHEDULER
from kbootstrap.model.host import Host
from kbootstrap.render import controllers, flags

COMPONENT: Final = "kube-scheduler"
NAME: Final = "scheduler"


def credentials() -> dict[str, str]:
    """Credential name → file on the host."""
    return controllers.credentials(NAME)


def arguments(host: Host) -> tuple[str, ...]:
    """The command line of the scheduler on *host*."""
    return flags.arguments(COMPONENT, controllers.flags(NAME, SCHEDULER), host)
