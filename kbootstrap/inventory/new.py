"""Write a new ``cluster.yml``: from addresses on a command line (here), ``vagrant ssh-config`` (vagrant.py), an Ansible inventory (ansible.py)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from kbootstrap.catalog import releases
from kbootstrap.errors import UsageError
from kbootstrap.inventory.scalars import plain_value, surprise

_PLAIN: Final = re.compile(r"[A-Za-z0-9_/~.][A-Za-z0-9_/~.+-]*")

_TEXT: Final = """\
# {comment}
# `invoke inventory.check --cluster {name}` judges this file offline; `invoke inventory.show --cluster {name} --host {first}` tells
# where each value comes from; `invoke inventory.schema` prints a JSON Schema for your editor.
# Next: `invoke inventory.trust --cluster {name}`, then `invoke cluster.up --cluster {name}`.
cluster: {name}
kubernetes: "{kubernetes}"             # always in quotes: unquoted, 1.30 would be the number 1.3

network:
  pods: 10.244.0.0/16            # neither range may overlap anything that your hosts reach
  services: 10.96.0.0/16
  host_prefix: 24                # each host's own pod range, so there is room for 256 hosts
  plugin: routes                 # hosts on one L2 network; vxlan: any network; none: bring your own

endpoint: haproxy                # on every host; gateway: hosts without packages; {{kind: external, address: …}}: your load balancer

# Settings of hosts: here for all, under groups.<name> (with `hosts: [w1]`) for some, at a host for one. The narrower wins; lists replace.
ssh: {ssh}

hosts:
  masters:                       # an odd number (1, 3, 5): etcd decides by majority
{masters}
  workers:
{workers}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewHost:
    """A host to write: *ssh* is what its own entry says about the way in."""

    name: str
    address: str
    ssh: Mapping[str, str | int] = field(default_factory=dict)
    listed_before: bool = False  # as a master; its settings stand there

    def line(self) -> str:
        parts = [] if self.listed_before else [f"address: {scalar(self.address)}"]
        if self.ssh and not self.listed_before:
            parts.append(f"ssh: {flow(self.ssh)}")
        return f"    {scalar(self.name)}: {{{', '.join(parts)}}}"


def compose(name: str, *, masters: Sequence[NewHost], workers: Sequence[NewHost], ssh: Mapping[str, object], comment: str = "") -> str:
    """The text of a commented cluster.yml. Pure layout: only ``check`` tells whether it is a good one."""
    names = {host.name for host in masters}
    return _TEXT.format(
        comment=comment or "A cluster of kbootstrap.",
        name=scalar(name),
        first=masters[0].name if masters else "m1",
        kubernetes=releases.default_kubernetes(),
        ssh=flow(ssh),
        masters="\n".join(host.line() for host in masters) or "    {}",
        workers="\n".join(replace(host, listed_before=host.name in names).line() for host in workers) or "    {}",
    )


def from_addresses(name: str, *, masters: str, workers: str = "", user: str = "root", key: str = "") -> str:
    """The text for ``--masters 10.0.0.11,m2=10.0.0.12``; hosts without a name are m1, m2 … and w1, w2 …

    An address that stands in both lists is one host with both roles.
    """
    first = named_addresses(masters, "m", {})
    second = named_addresses(workers, "w", {address: host for host, address in first.items()})
    ssh: dict[str, object] = {"user": user} | ({"key": key} if key else {}) | ({} if user == "root" else {"sudo": {"needed": True}})
    return compose(name, masters=_hosts(first), workers=_hosts(second), ssh=ssh)


def _hosts(addresses: Mapping[str, str]) -> list[NewHost]:
    return [NewHost(name=name, address=address) for name, address in addresses.items()]


def named_addresses(text: str, prefix: str, known: Mapping[str, str]) -> dict[str, str]:
    """``10.0.0.11,x=10.0.0.12`` as name → address; *known* gives the names of addresses that are hosts already. UsageError for a name twice."""
    result: dict[str, str] = {}
    for index, part in enumerate((item.strip() for item in text.split(",") if item.strip()), 1):
        given, equals, address = part.rpartition("=")
        name = given if equals else known.get(address, f"{prefix}{index}")
        if name in result:
            raise UsageError(f"the host {name} is given twice: {result[name]} and {address}", hint="Name hosts as m1=10.0.0.11.")
        result[name] = address
    return result


def flow(values: Mapping[str, object]) -> str:
    """A YAML flow mapping."""
    return "{" + ", ".join(f"{key}: {flow(value) if isinstance(value, Mapping) else scalar(value)}" for key, value in values.items()) + "}"


def scalar(value: object) -> str:
    """A YAML scalar that reads back as *value*; quoted whenever any reader could take the text for something else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    text = str(value)
    plain = _PLAIN.fullmatch(text) and isinstance(plain_value(text), str) and not surprise(text) and text != "~"
    return text if plain else f'"{"".join(map(_escaped, text))}"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    return char if char.isprintable() else f"\\U{ord(char):08X}"
