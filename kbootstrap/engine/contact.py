"""What reaching the hosts needs: inventory and state alone. Looking and leaving must work without artifacts, and with a damaged PKI."""

from __future__ import annotations

from kbootstrap import inventory
from kbootstrap.engine.prepare import Prepared
from kbootstrap.model.desired import Desired
from kbootstrap.model.pki import Pki
from kbootstrap.render.env import Renderer
from kbootstrap.rolebook.expand import World
from kbootstrap.store import state
from kbootstrap.store.folder import Folder


def contact(folder: Folder) -> Prepared:
    """A ``Prepared`` that wants nothing of any host. Raises InventoryError."""
    spec = inventory.load(folder.cluster_yml)
    world = World(spec=spec, pki=Pki(), renderer=Renderer(()), pod_ranges={}, binaries={}, images={})
    return Prepared(folder=folder, spec=spec, state=state.load(folder.state), pki=world.pki, issued=(), world=world, desired=Desired(hosts={}))
