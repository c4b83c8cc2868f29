"""Certificates for their whole life: ``certs.plan``. Offline unless its first line says that hosts are read."""

from __future__ import annotations

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from kbootstrap.tasks._common import CLUSTER_HELP, find_folder, reported, say
from kbootstrap.tasks.cluster import _list

CHANGES = 10
SELECTION = {"host": "only certificates of these hosts (m1,w2)", "name": "only certificates of these names (apiserver,etcd-peer)"}


@task(auto_shortflags=False, help={"cluster": CLUSTER_HELP, **SELECTION})
@reported
def plan(_: Context, cluster: str = "", host: str = "", name: str = "") -> None:
    """Show which certificates would be issued, and why; changes nothing, asks no host. Exit code 0: none, 10: some."""
    from kbootstrap import inventory
    from kbootstrap.pki import inspect, select
    from kbootstrap.pki.profiles import profiles
    from kbootstrap.store import clock, pki_dir

    folder = find_folder(cluster)
    spec = inventory.load(folder.cluster_yml)
    pki = pki_dir.load(folder.pki)
    wanted = select.chosen(profiles(spec), hosts=_list(host), names=_list(name))
    due = [(p, inspect.reason(pki, p, now=clock.now(), certificates=spec.certificates)) for p in wanted]
    lines = [f"+ {p.id:<32} {why}" if p.id not in pki.pairs else f"~ {p.id:<32} {why}" for p, why in due if why]
    for line in lines or ["0 certificates to issue"]:
        say(line)
    if lines:
        raise Exit(code=CHANGES)
