"""Import of a simple Ansible inventory: INI or YAML, groups of masters and workers, and the variables that say how to log in.

Read are host names, ``ansible_host``, ``ansible_port``, ``ansible_user``, ``ansible_ssh_private_key_file`` and ``ip`` (Kubespray's name for the
cluster's address). Nothing is evaluated: patterns, ranges and templates are refused, so that no host is silently missed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from kbootstrap.errors import InventoryError
from kbootstrap.inventory.document import parse
from kbootstrap.inventory.new import NewHost, compose
from kbootstrap.inventory.tree import Scalar, Table

MASTERS: Final = ("masters", "master", "kube_control_plane", "kube-master")
WORKERS: Final = ("workers", "worker", "kube_node", "kube-node")
_SECTION: Final = re.compile(r"\[(?P<group>[^\]:]+)(:(?P<kind>vars|children))?\]")
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_KEY: Final = "ansible_ssh_private_key_file"
_READ: Final = ("ansible_host", "ansible_port", "ansible_user", _KEY, "ip")


@dataclass(slots=True)
class _Inventory:
    """What was read so far."""

    members: dict[str, list[str]] = field(default_factory=dict)  # group → hosts
    hosts: dict[str, dict[str, str]] = field(default_factory=dict)  # host → its variables
    shared: dict[str, str] = field(default_factory=dict)  # variables of all

    def add(self, group: str, host: str, variables: Mapping[str, str], where: str) -> None:
        if not _PLAIN_NAME.fullmatch(host):
            raise InventoryError(f"{where}  {host!r}: ranges and patterns are not read", hint="List each host.")
        self.members.setdefault(group, []).append(host)
        self.hosts.setdefault(host, {}).update(variables)

    def share(self, group: str, key: str, value: str, where: str) -> None:
        if group == "all":
            self.shared[key] = value
        elif key in _READ:
            raise InventoryError(f"{where}  {key} of the group {group}: only those of hosts and of all are read", hint="Write it at the hosts.")


def from_ansible(text: str, file: str, name: str) -> str:
    """The text of a cluster.yml for the hosts in *text*. InventoryError says what cannot be read, and where."""
    inventory = _Inventory()
    read = _read_yaml if re.search(r"^\s*(---|all\s*:)", text, re.MULTILINE) else _read_ini
    read(inventory, text, file)
    masters, workers = (_members(inventory, groups) for groups in (MASTERS, WORKERS))
    if not masters:
        raise InventoryError(f"{file}: no group of masters", hint=f"One of the groups {', '.join(MASTERS)} names them.")
    users = {_variables(inventory, host).get("ansible_user", "root") for host in [*masters, *workers]}
    if len(users) > 1:
        raise InventoryError(f"{file}: hosts have different users: {', '.join(sorted(users))}", hint="Write ssh.user at those hosts by hand.")
    user = users.pop()
    ssh: dict[str, object] = {"user": user, **({} if user == "root" else {"sudo": {"needed": True}})}
    made = [[_host(inventory, host, file) for host in each] for each in (masters, workers)]
    return compose(name, masters=made[0], workers=made[1], ssh=ssh, comment=f"Made by inventory.from_ansible from {file}.")


def _members(inventory: _Inventory, groups: tuple[str, ...]) -> list[str]:
    return list(dict.fromkeys(host for group in groups for host in inventory.members.get(group, [])))


def _variables(inventory: _Inventory, host: str) -> dict[str, str]:
    return inventory.shared | inventory.hosts[host]


def _host(inventory: _Inventory, host: str, file: str) -> NewHost:
    variables = _variables(inventory, host)
    templated = [key for key, value in variables.items() if "{{" in value]
    if templated:
        raise InventoryError(f"{file}: {host}: templates are not read ({', '.join(templated)})", hint="Write the values.")
    door = variables.get("ansible_host", host)
    ssh: dict[str, str | int] = {} if variables.get("ip", door) == door else {"host": door}
    if port := variables.get("ansible_port"):
        if not re.fullmatch(r"[0-9]{1,5}", port):
            raise InventoryError(f"{file}: {host}: ansible_port {port!r} is no number")
        ssh["port"] = int(port)
    if key := variables.get(_KEY):
        ssh["key"] = key
    return NewHost(name=host, address=variables.get("ip", door), ssh=ssh)


def _read_ini(inventory: _Inventory, text: str, file: str) -> None:
    group, kind = "ungrouped", ""
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{file}:{number}:1"
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise InventoryError(f"{where}  {error}", hint="Close the quotes.") from None
        if not words or line.lstrip().startswith(";"):
            continue
        if section := _SECTION.fullmatch(line.split("#")[0].strip()):
            group, kind = section["group"], section["kind"] or ""
        elif kind == "children" and group in (*MASTERS, *WORKERS):
            raise InventoryError(f"{where}  groups of groups are not read for {group}", hint="List its hosts.")
        elif kind == "vars":
            key, _, value = line.partition("=")
            inventory.share(group, key.strip(), value.split(" #")[0].strip().strip("\"'"), where)
        elif not kind:
            inventory.add(group, words[0], dict(word.split("=", 1) for word in words[1:] if "=" in word), where)


def _read_yaml(inventory: _Inventory, text: str, file: str) -> None:
    document, findings = parse(text, file)
    if findings:
        raise InventoryError(f"{file} cannot be read", problems=findings)
    everything = document.root.entries.get("all")
    if not isinstance(everything, Table):
        raise InventoryError(f"{file}: expected `all:` with hosts and children")
    for group, table in _groups("all", everything):
        for key, value in _scalars(table.entries.get("vars")).items():
            inventory.share(group, key, value, f"{file}:{table.mark}")
        hosts = table.entries.get("hosts")
        for host, variables in hosts.entries.items() if isinstance(hosts, Table) else ():
            inventory.add(group, host, _scalars(variables), f"{file}:{variables.mark}")


def _groups(name: str, table: Table) -> Iterator[tuple[str, Table]]:
    yield name, table
    children = table.entries.get("children")
    for child, inner in children.entries.items() if isinstance(children, Table) else ():
        if isinstance(inner, Table):
            yield from _groups(child, inner)


def _scalars(node: object) -> dict[str, str]:
    return {key: value.text for key, value in node.entries.items() if isinstance(value, Scalar)} if isinstance(node, Table) else {}
