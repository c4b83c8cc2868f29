"""Inventories: ``new``, ``from_vagrant``, ``from_ansible``, ``check``, ``show``, ``schema``, ``trust``. Only ``trust`` contacts hosts."""

from __future__ import annotations

from invoke.context import Context
from invoke.tasks import task

from kbootstrap.tasks._common import CLUSTER_HELP, JSON_HELP, find_folder, reported

_NAME = "the cluster's name, and its folder below inventory/"


@task(
    auto_shortflags=False,
    help={
        "name": _NAME,
        "masters": "addresses, an odd number: 10.0.0.11,10.0.0.12,m3=10.0.0.13",
        "workers": "addresses; one that is a master's too is one host with both roles",
        "user": "login; other than root becomes root by sudo",
        "key": "private key; by default the SSH agent's",
    },
)
@reported
def new(_: Context, name: str, masters: str, workers: str = "", user: str = "root", key: str = "") -> None:
    """Write a commented inventory/<name>/cluster.yml."""
    from kbootstrap.tasks import _inventory

    _inventory.new(name, masters=masters, workers=workers, user=user, key=key)


@task(
    auto_shortflags=False,
    help={
        "name": _NAME,
        "file": "output of `vagrant ssh-config`, - for standard input; by default vagrant is asked",
        "folder": "where the Vagrantfile lies",
        "addresses": "m1=192.168.56.11,…; by default as in vagrant/Vagrantfile",
    },
)
@reported
def from_vagrant(context: Context, name: str = "vagrant", file: str = "", folder: str = "vagrant", addresses: str = "") -> None:
    """Write inventory/<name>/cluster.yml for running Vagrant machines."""
    from kbootstrap.tasks import _inventory

    _inventory.from_vagrant(context, name, file=file, folder=folder, addresses=addresses)


@task(auto_shortflags=False, help={"file": "an Ansible inventory, INI or YAML", "name": _NAME})
@reported
def from_ansible(_: Context, file: str, name: str) -> None:
    """Write inventory/<name>/cluster.yml from an Ansible inventory's groups masters and workers (or Kubespray's)."""
    from kbootstrap.tasks import _inventory

    _inventory.from_ansible(name, file=file)


@task(auto_shortflags=False, help={"cluster": CLUSTER_HELP, "json": JSON_HELP})
@reported
def check(_: Context, cluster: str = "", json: bool = False) -> None:
    """Judge an inventory offline: every problem at once, with file, line and column."""
    from kbootstrap.tasks import _inventory

    _inventory.check(find_folder(cluster), as_json=json)


@task(auto_shortflags=False, help={"cluster": CLUSTER_HELP, "host": "the settings of this host instead of the cluster's", "json": JSON_HELP})
@reported
def show(_: Context, cluster: str = "", host: str = "", json: bool = False) -> None:
    """Show every setting, its value after defaults, groups and host were merged, and where it comes from."""
    from kbootstrap.tasks import _inventory

    _inventory.show(find_folder(cluster), host, as_json=json)


@task(auto_shortflags=False)
@reported
def schema(_: Context) -> None:
    """Print the JSON Schema of cluster.yml, for editors."""
    from kbootstrap.tasks import _inventory

    _inventory.schema()


@task(auto_shortflags=False, help={"cluster": CLUSTER_HELP, "yes": "record new keys without asking; a changed key is refused all the same"})
@reported
def trust(_: Context, cluster: str = "", yes: bool = False) -> None:
    """Show the fingerprints of the hosts' keys and record them in the cluster's known_hosts."""
    from kbootstrap.tasks import _trust

    _trust.trust(find_folder(cluster), yes=yes)
