"""Kubeconfigs: ``admin``, ``merge``, ``remove``. Offline: no host is asked."""

from __future__ import annotations

from invoke.context import Context
from invoke.tasks import task

from kbootstrap.tasks._common import CLUSTER_HELP, find_folder, reported, say

_FILE = {"file": "this kubeconfig; by default what kubectl reads: the list in KUBECONFIG, else ~/.kube/config"}


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
    from kbootstrap.tasks import _kubeconfig

    folder = find_folder(cluster)
    with _kubeconfig.fresh(folder, "kubeconfig.admin", master=master) as (_spec, _pki, written):
        say(f"{folder.admin_conf} {'written' if written else 'is up to date'}")


@task(
    auto_shortflags=False,
    help={
        "cluster": CLUSTER_HELP,
        **_FILE,
        "use": "select the cluster's context; by default the current context stays",
        "force": "replace entries of the same names that are not ours",
    },
)
@reported
def merge(_: Context, cluster: str = "", file: str = "", use: bool = False, force: bool = False) -> None:
    """Merge the cluster's contexts into your own kubeconfig, as kubectl would; all other entries stay, and the file until now as .previous."""
    from kbootstrap import kubeconfig
    from kbootstrap.store import kubectl_config, operator_kubeconfig
    from kbootstrap.tasks import _kubeconfig

    folder = find_folder(cluster)
    with _kubeconfig.fresh(folder, "kubeconfig.merge") as (_spec, pki, _written):
        found, new = kubectl_config.find(file), folder.admin_conf.read_text()
        home, owners = found.paths.index(found.home), operator_kubeconfig.owners(folder, pki)
        edited, written = kubectl_config.change(
            found,
            lambda texts: kubeconfig.merge_all(texts, new, home=home, owners=owners, force=force, use=use),
            command="kubeconfig.merge",
        )
    _kubeconfig.tell(found, edited, written, verb="written")
    mine = kubeconfig.read(new).context
    if edited.current != mine:
        say(f"The current context is {edited.current}. This cluster's: kubectl config use-context {mine}")


@task(auto_shortflags=False, help={"cluster": CLUSTER_HELP, **_FILE})
@reported
def remove(_: Context, cluster: str = "", file: str = "") -> None:
    """Take every entry of the cluster out of your own kubeconfig again; a current context that was one of them is cleared."""
    from kbootstrap import kubeconfig
    from kbootstrap.store import kubectl_config
    from kbootstrap.tasks import _kubeconfig

    folder, found = find_folder(cluster), kubectl_config.find(file)
    owners = _kubeconfig.owners(folder)
    edited, written = kubectl_config.change(found, lambda texts: kubeconfig.remove(texts, owners=owners), command="kubeconfig.remove")
    _kubeconfig.tell(found, edited, written, verb="removed")
    if edited.cleared:
        say(f"The current context was {edited.cleared}; {f'now it is {edited.current}' if edited.current else 'now there is none'}.")
    for name in edited.dangling:
        say(f"The context {name} is yours and stays; it leads to an entry that is gone.")
