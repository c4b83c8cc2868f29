"""What reaching the hosts needs: inventory and state alone. Looking and leaving must work without artifacts, and with a damaged PKI."""

from __future__ import annotations

from collections.abc import Sequence

from kbootstrap import inventory
from kbootstrap.engine import offline
from kbootstrap.engine.prepared import Prepared
from kbootstrap.errors import UsageError
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.desired import Desired
from kbootstrap.model.host import Host
from kbootstrap.model.pki import Pki
from kbootstrap.render.env import Renderer
from kbootstrap.rolebook.expand import World
from kbootstrap.store import state
from kbootstrap.store.folder import Folder


def chosen(spec: ClusterSpec, limit: Sequence[str]) -> tuple[Host, ...]:
    """The hosts that *limit* names, all when it is empty. UsageError for a name that is no host's: nothing to do there would look like success."""
    unknown = [name for name in limit if name not in {host.name for host in spec.hosts}]
    if unknown:
        raise UsageError(f"--limit: no host is called {', '.join(unknown)}", hint=f"There are {', '.join(host.name for host in spec.hosts)}.")
    return tuple(host for host in spec.hosts if not limit or host.name in limit)


def contact(folder: Folder) -> Prepared:
    """A ``Prepared`` that wants nothing of any host. Raises InventoryError."""
    spec = inventory.load(folder.cluster_yml)
    offline.confine(spec)
    world = World(spec=spec, pki=Pki(), renderer=Renderer(()), pod_ranges={}, binaries={}, images={})
    return Prepared(folder=folder, spec=spec, state=state.load(folder.state), pki=world.pki, issued=(), world=world, desired=Desired(hosts={}))
