"""The two ways of leaving to the end: a host that is gone leaves cluster.yml; one that is replaced leaves its host key."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from kbootstrap.engine.certs_check import issued
from kbootstrap.engine.contact import contact
from kbootstrap.engine.node_asked import named
from kbootstrap.engine.node_leave import Leaving, Wish
from kbootstrap.engine.request import Request
from kbootstrap.errors import InventoryError, UsageError
from kbootstrap.inventory import edit
from kbootstrap.inventory.loading import read
from kbootstrap.inventory.removing import without
from kbootstrap.model.host import Host
from kbootstrap.remote import hostkeys
from kbootstrap.store import inventory_files, operator_kubeconfig
from kbootstrap.store.folder import Folder
from kbootstrap.store.lock import hold


def remove(request: Request, wish: Wish) -> Iterator[str]:
    """Lines as they come: what was cleaned, then the diff of cluster.yml. Nothing if somebody said no.

    UsageError, InventoryError (what would be left is no cluster), PreflightError (etcd's quorum), ConnectError before anything is changed.
    """
    with hold(request.folder.root, wish.command):
        known = contact(request.folder)
        gone = [name for name in wish.asked.names if name not in {h.name for h in known.spec.hosts} and name in known.state.pod_ranges]
        yield from (f"{name}: is not in cluster.yml any more, nothing to do" for name in gone)
        names = tuple(name for name in wish.asked.names if name not in gone)
        if gone and not names:
            return
        hosts = named(known.spec, names)
        path = request.folder.cluster_yml
        text = read(path)
        new, _ = without(text, names, str(path), folder=path.parent)
        with request.connect(known) as pool:
            leaving = Leaving(request=request, wish=wish, prepared=known, pool=pool, hosts=hosts)
            found = leaving.look()
            if not wish.asked.confirm([*leaving.told(found), *edit.diff(text, new, str(path))]):
                return
            yield from leaving.all(found)
        yield from _cut(path, names)
        _follow(leaving)
        yield from _credentials(found.dead, request.folder)
        yield "invoke cluster.up takes them out of the others' endpoints, routes and firewalls."


def _cut(path: Path, names: Collection[str]) -> Iterator[str]:
    """Take them out of cluster.yml as it is now: draining and cleaning take minutes, in which somebody may have edited it."""
    text = read(path)
    try:
        new, _ = without(text, names, str(path), folder=path.parent)
    except InventoryError as error:
        what = f"{path} was edited meanwhile, and the hosts, which have left, cannot be cut out of it"
        raise InventoryError(what, problems=error.problems, hint=f"Take {', '.join(names)} out by hand, then: invoke cluster.up") from error
    inventory_files.replace_text(path, new)
    yield from edit.diff(text, new, str(path))


def _follow(leaving: Leaving) -> None:
    """The operator's kubeconfig selects no master that is gone; ``cluster.up`` names one that comes again."""
    if (path := leaving.request.folder.admin_conf).exists():
        operator_kubeconfig.write(path, leaving.staying.spec, issued(leaving.request.folder))


def replace_host(request: Request, wish: Wish) -> Iterator[str]:
    """As ``remove``, but the name keeps its place in cluster.yml, and its host key is forgotten: that of a new machine must be confirmed."""
    with hold(request.folder.root, wish.command):
        known = contact(request.folder)
        hosts = named(known.spec, wish.asked.names)
        if len(hosts) != 1:
            raise UsageError("one machine at a time is replaced", hint=f"invoke node.replace {hosts[0].name}")
        name = hosts[0].name
        with request.connect(known) as pool:
            leaving = Leaving(request=request, wish=wish, prepared=known, pool=pool, hosts=hosts)
            found = leaving.look()
            if not wish.asked.confirm([*leaving.told(found), f"{name}: its host key is forgotten; that of the new machine must be confirmed"]):
                return
            yield from leaving.all(found)
        _follow(leaving)
        yield from _forget_key(request.folder, hosts[0])
        yield from _credentials(found.dead, request.folder)
        yield f"Next: start the new machine at {hosts[0].ssh.host} (or edit cluster.yml), then invoke inventory.trust, then invoke cluster.up."


def _forget_key(folder: Folder, host: Host) -> Iterator[str]:
    path = folder.known_hosts
    name = hostkeys.known_name(host.ssh.host, host.ssh.port)
    records = hostkeys.load(path).of(name)
    own = {record.number for record in records if record.plain == {name}}
    if own:
        lines = inventory_files.read_text(path).splitlines(keepends=True)
        inventory_files.replace_text(path, "".join(line for number, line in enumerate(lines, 1) if number not in own))
        yield f"{host.name}: its host key is no longer in {path}"
    if shared := [str(record.number) for record in records if record.number not in own]:
        yield f"{host.name}: line {', '.join(shared)} of {path} speaks of others too: edit it by hand"


def _credentials(dead: Collection[str], folder: Folder) -> Iterator[str]:
    """A machine that was not cleaned would register again, and what it holds opens the cluster to whoever has its disk."""
    if dead:
        yield f"{', '.join(dead)} must not come back as it is: its kubelet would register again."
        yield f"Keys on such disks stay valid (inventory/{folder.name}/pki): if they may be in strange hands, invoke certs.rotate."
