"""Who takes part, a module each: how an expert of the tool would do the works. To add one: a module with ``CONTESTANT``, and its line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bench.contestants import ansible, batch, fabric, kbootstrap, openssh, pyinfra
from bench.stand import Contestant

CONTESTANTS: Final[Mapping[str, Contestant]] = {
    each.name: each
    for each in (kbootstrap.CONTESTANT, batch.CONTESTANT, openssh.CONTESTANT, ansible.PLAIN, ansible.MITOGEN, pyinfra.CONTESTANT, fabric.CONTESTANT)
}
OURS: Final = "kbootstrap"
FLOOR: Final = "batch"
