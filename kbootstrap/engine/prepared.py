"""What is known of a cluster on the operator's machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kbootstrap.model.cluster import ClusterSpec
    from kbootstrap.model.desired import Desired
    from kbootstrap.model.pki import Issued, Pki
    from kbootstrap.rolebook.expand import World
    from kbootstrap.store.folder import Folder
    from kbootstrap.store.state import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Everything known before the first contact. *issued* are the certificates that were made for it, already saved unless this is a dry run."""

    folder: Folder
    spec: ClusterSpec
    state: State
    pki: Pki
    issued: tuple[Issued, ...]
    world: World
    desired: Desired
    overridden: tuple[str, ...] = ()
