"""An inventory from ``vagrant ssh-config``: the way in is a loopback port per machine, the address is that of its second interface.

Vagrant's first interface is NAT and has the same address (10.0.2.15) on every machine, so it can never be the cluster's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from kbootstrap.errors import UsageError
from kbootstrap.inventory.new import NewHost, compose

NETWORK: Final = "192.168.56."  # vagrant/Vagrantfile: VirtualBox lets host-only networks be 192.168.56.0/21 only
_BASE: Final = {"m": 10, "w": 20}  # m1 is .11, w1 is .21
_CONVENTION: Final = re.compile(r"(?P<role>[mw])[a-z-]*(?P<number>[1-9][0-9]?)")
_LINE: Final = re.compile(r"\s*(?P<key>[A-Za-z]+)(?:\s*=\s*|\s+)(?P<value>.*?)\s*")


def parse_ssh_config(text: str) -> dict[str, dict[str, str]]:
    """Host → its options with lower-case keys; of an option given twice the first counts, as for ssh."""
    machines: dict[str, dict[str, str]] = {}
    options: dict[str, str] = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        key, value = match["key"].lower(), match["value"].removeprefix('"').removesuffix('"')
        if key == "host":
            options = machines.setdefault(value, {})
        else:
            options.setdefault(key, value)
    return machines


def from_ssh_config(text: str, name: str, *, addresses: Mapping[str, str] | None = None) -> str:
    """The text of a cluster.yml for the machines in *text*; UsageError if there is none, or a role or address cannot be known.

    Machines are masters or workers by the first letter of their name. *addresses* wins over the Vagrantfile's convention
    (m1 is 192.168.56.11, w1 is 192.168.56.21).
    """
    machines = parse_ssh_config(text)
    if not machines:
        raise UsageError("this is not the output of `vagrant ssh-config`: no Host line", hint="Run `vagrant up` first, then `vagrant ssh-config`.")
    for option, why in (("port", "no Port"), ("hostname", "no HostName")):
        if lacking := [machine for machine, options in machines.items() if not options.get(option)]:
            raise UsageError(f"vagrant ssh-config gives {why} for {', '.join(lacking)}")
    hosts = {machine: _host(machine, options, addresses or {}) for machine, options in machines.items()}
    users = {options.get("user", "vagrant") for options in machines.values()}
    if len(users) > 1:
        raise UsageError(f"the machines have different users: {', '.join(sorted(users))}", hint="Write the inventory by hand.")
    ssh: dict[str, object] = {"user": users.pop(), "sudo": {"needed": True}}
    roles = {role: [host for machine, host in hosts.items() if machine[0] == role] for role in "mw"}
    return compose(name, masters=roles["m"], workers=roles["w"], ssh=ssh, comment="Made by inventory.from_vagrant.")


def _host(machine: str, options: Mapping[str, str], addresses: Mapping[str, str]) -> NewHost:
    if machine[0] not in _BASE:
        raise UsageError(f"is {machine} a master or a worker?", hint="Name machines m1, m2 … and w1, w2 …")
    match = _CONVENTION.fullmatch(machine)
    address = addresses.get(machine) or (f"{NETWORK}{_BASE[match['role']] + int(match['number'])}" if match else "")
    if not address:
        raise UsageError(f"the address of {machine} is not known", hint=f"Add `--addresses {machine}=192.168.56.11`.")
    if not options["port"].isascii() or not options["port"].isdigit():
        raise UsageError(f"{machine}: the port {options['port']!r} is no number")
    ssh: dict[str, str | int] = {"host": options["hostname"], "port": int(options["port"])}
    if options.get("identityfile"):
        ssh["key"] = options["identityfile"]
    return NewHost(name=machine, address=address, ssh=ssh)
