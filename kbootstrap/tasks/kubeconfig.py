"""Kubeconfigs of the operator, of people and of hosts. Offline unless a task's first line says that hosts are read or changed."""

from __future__ import annotations

import json as encoder

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from kbootstrap.tasks._common import CLUSTER_HELP, JSON_HELP, find_folder, reported, say
from kbootstrap.tasks.cluster import _list

_WAY_IN = {"ask_sudo_password": "ask for sudo's password", "sudo_password_fd": "read sudo's password from this file descriptor"}
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
    _kubeconfig.refuse_missing(file)
    owners = _kubeconfig.owners(folder)
    edited, written = kubectl_config.change(found, lambda texts: kubeconfig.remove(texts, owners=owners), command="kubeconfig.remove")
    _kubeconfig.tell(found, edited, written, verb="removed")
    if edited.cleared:
        say(f"The current context was {edited.cleared}; {f'now it is {edited.current}' if edited.current else 'now there is none'}.")
    for name in edited.dangling:
        say(f"The context {name} is yours and stays; it leads to an entry that is gone.")


@task(
    auto_shortflags=False,
    help={
        "cluster": CLUSTER_HELP,
        "all": "of every host",
        "limit": "only of these hosts (m1,w2)",
        "to": "the folder to write to; by default inventory/<cluster>/kubeconfigs",
    },
)
@reported
def write(_: Context, cluster: str = "", all: bool = False, limit: str = "", to: str = "") -> None:
    """Write the kubeconfigs of a cluster's hosts, and admin.conf, into a folder: byte for byte what the hosts get, and no host is touched."""
    from pathlib import Path

    from kbootstrap.engine import kubeconfigs
    from kbootstrap.errors import UsageError
    from kbootstrap.store import files

    if all == bool(limit):
        raise UsageError("kubeconfig.write: of which hosts?", hint="Say --all, or --limit m1,w1.")
    if to:
        files.refuse_missing(Path(to))
    folder = find_folder(cluster)
    written = kubeconfigs.write(folder, Path(to) if to else folder.root / "kubeconfigs", limit=_list(limit))
    for path, anew in written.items():
        say(f"{path} {'written' if anew else 'is up to date'}")


@task(
    auto_shortflags=False,
    help={
        "cluster": CLUSTER_HELP,
        "limit": "only on these hosts (m1,w2)",
        "yes": "do not ask",
        "dry_run": "show what would be done, and change nothing; exit code 10 if there is something",
        "take_lock": "take the hosts' lock from a run that is known to be dead",
        **_WAY_IN,
    },
)
@reported
def install(
    _: Context, cluster: str = "", limit: str = "", yes: bool = False, dry_run: bool = False, take_lock: bool = False,
    ask_sudo_password: bool = False, sudo_password_fd: int = -1,
) -> None:  # fmt: skip
    """Bring the kubeconfigs to the hosts and restart what reads them, in a safe order; changes hosts, and nothing on them but that."""
    from kbootstrap.engine import kubeconfigs
    from kbootstrap.tasks import _certs_acting as acting

    acting.carry_out(
        find_folder(cluster), lambda request: kubeconfigs.install(request, dry=dry_run), limit=_list(limit), yes=yes, dry_run=dry_run,
        take_lock=take_lock, ask=ask_sudo_password, fd=sudo_password_fd,
    )  # fmt: skip


@task(
    auto_shortflags=False,
    help={
        "cluster": CLUSTER_HELP,
        "file": "this kubeconfig; by default the list in KUBECONFIG, else inventory/<cluster>/admin.conf",
        "days": "what ends within so many days is expiring; by default what the next run would renew",
        "json": JSON_HELP,
    },
)
@reported
def check(_: Context, cluster: str = "", file: str = "", days: int = -1, json: bool = False) -> None:
    """Try every context of the cluster from here: server, its CA and SANs, the credential, days left. Exit code 0: fine, 10: expiring, 11: wrong."""
    from kbootstrap.engine import kubeconfig_check
    from kbootstrap.tasks import _kubeconfig

    found = _kubeconfig.checked(find_folder(cluster), file, days if days >= 0 else None)
    if json:
        rows = [{"file": str(path), **row.data()} for path, mine in found.items() for row in mine]
        say(encoder.dumps({"contexts": rows}, indent=1))
    else:
        for path, mine in found.items():
            say(f"{path}:")
            for line in _kubeconfig.table(mine):
                say(f"  {line}")
    if code := kubeconfig_check.exit_code([row for mine in found.values() for row in mine]):
        raise Exit(code=code)


@task(
    auto_shortflags=False,
    help={
        "cluster": CLUSTER_HELP,
        "name": "who it is for: the user's name in the cluster",
        "group": "groups of the user, comma-separated; RBAC can bind them",
        "ttl": "how long it is good for: 90m, 24h, 7d",
        "namespace": "the default namespace; bindings are made in it instead of cluster-wide",
        "server": "only this way to the API: a master's name, or an https:// URL that the API's certificates allow; by default all",
        "to": "the file to write; by default inventory/<cluster>/users/<name>.conf",
        "token": "a token of a service account instead of a certificate: deleting the account revokes it",
        "bind": "bind these cluster roles to the user (view, edit, admin, cluster-admin …), comma-separated",
        "force": "replace a file that is no kubeconfig of this cluster",
        **_WAY_IN,
    },
)
@reported
def user(
    _: Context, cluster: str = "", name: str = "", group: str = "", ttl: str = "24h", namespace: str = "", server: str = "", to: str = "",
    token: bool = False, bind: str = "", force: bool = False, ask_sudo_password: bool = False, sudo_password_fd: int = -1,
) -> None:  # fmt: skip
    """Make a kubeconfig for somebody: a certificate, offline, or a token (--token); rights by --bind. Asks hosts only for a token or a binding."""
    from pathlib import Path

    from kbootstrap.engine import people
    from kbootstrap.errors import UsageError
    from kbootstrap.kubeconfig.people import Person, binding
    from kbootstrap.kubeconfig.people import ttl as life
    from kbootstrap.store import files
    from kbootstrap.tasks import _request

    if not name:
        raise UsageError("--name: for whom?", hint="For example: invoke kubeconfig.user --name alice --ttl 24h --bind view")
    folder = find_folder(cluster)
    person = Person(name=name, groups=_list(group), ttl=life(ttl), namespace=namespace, roles=_list(bind), token=token)
    path = Path(to) if to else folder.root / "users" / f"{name.replace('/', '_')}.conf"
    if to:
        files.refuse_unfit(path, option="--to")
    with _request.open_(folder, quiet=False, ask=ask_sudo_password, fd=sudo_password_fd) as request:
        made = people.give(request, person, server=server, to=path, force=force)
    say(f"{made.path} written: {made.user} until {made.not_after:%Y-%m-%d %H:%M} UTC")
    if made.replaced:
        say(f"  It replaces a credential made before, which is accepted until it ends: `invoke certs.issued`, `invoke certs.revoke {name}`.")
    for role in person.roles:
        say(f"  {role} {f'in {person.namespace}' if person.namespace else 'in the whole cluster'}, by {binding(person, role)}")
    if not person.roles:
        say("  It may do nothing yet beyond what its groups may. --bind view gives it a role.")
    if not token:
        say("  A certificate cannot be taken back before it ends: remove its bindings, or rotate the CA. Give short lives.")
