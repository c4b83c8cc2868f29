"""Kubeconfigs: ``kubeconfig.admin``. No task here contacts a host."""

from __future__ import annotations

from invoke.context import Context
from invoke.tasks import task

from kbootstrap.errors import PkiError, UsageError
from kbootstrap.tasks._common import CLUSTER_HELP, find_folder, reported, say


@task(
    auto_shortflags=False,
    help={
        "cluster": CLUSTER_HELP,
        "master": "the master whose context is selected; by default the one that the file selects now",
    },
)
@reported
def admin(_: Context, cluster: str = "", master: str = "") -> None:
    """(Re)write inventory/<cluster>/admin.conf from the local PKI; its certificate is renewed when it is wrong or about to expire."""
    from kbootstrap import inventory
    from kbootstrap.pki import issue
    from kbootstrap.pki.profiles import profiles
    from kbootstrap.store import clock, lock, operator_kubeconfig, pki_dir
    from kbootstrap.store.entropy import SystemEntropy

    folder = find_folder(cluster)
    spec = inventory.load(folder.cluster_yml)
    if master and master not in [host.name for host in spec.masters]:
        raise UsageError(f"{folder.cluster_yml} has no master {master}", hint=f"It has {', '.join(host.name for host in spec.masters)}.")
    with lock.hold(folder.root, "kubeconfig.admin"):
        pki = pki_dir.load(folder.pki)
        if pki.is_empty:
            raise PkiError(f"{folder.pki} holds no certificates yet", hint="They are made by the first `invoke cluster.up`.")
        wanted = [profile for profile in profiles(spec) if profile.kubeconfig == "admin"]
        pki, issued = issue.complete(pki, wanted, now=clock.now(), certificates=spec.certificates, entropy=SystemEntropy())
        pki_dir.save(folder.pki, pki, issued)
        written = operator_kubeconfig.write(folder.admin_conf, spec, pki, current=master)
    say(f"{folder.admin_conf} {'written' if written else 'is up to date'}")
