"""The survey of a host for the preflight: from the cluster to the text that is asked (``survey_sh``), from the answer to a ``Survey``."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Network
from pathlib import PurePosixPath
from typing import Final

from kbootstrap.catalog import hosts, installers, paths
from kbootstrap.model.cluster import ClusterSpec, Plugin
from kbootstrap.model.host import Host, ProxyMode
from kbootstrap.model.sealing import FINGERPRINT
from kbootstrap.model.survey import Link, Lookup, Room, Route, Socket, Survey
from kbootstrap.plan.survey_sh import QUICK, SOCKETS, SYNC, THOROUGH
from kbootstrap.resources.difference import sh

_ADDRESS: Final = re.compile(r"\d+: (\S+?)(?:@\S+)?\s+inet (\d[\d.]+/\d+)")
_ROUTE: Final = re.compile(r"(?:(blackhole|unreachable|prohibit) )?(default|\d+\.\d+\.\d+\.\d+(?:/\d+)?)(?: |$)")
_COPIED: Final = re.compile(r"(\d+) bytes.* ([\d.e+-]+) s(?:econds)?,")
_UNIT: Final = re.compile(r"[^/]+\.(?:service|scope|slice)")
_SYNC_WRITE: Final = 4096
_NOBODY: Final = "localhost"  # whom the resolver knows without asking
Lines = Mapping[str, Sequence[str]]


def modules(spec: ClusterSpec, host: Host) -> tuple[str, ...]:
    """The kernel modules whose effect *host* needs."""
    vxlan = ("vxlan",) if spec.network.plugin is Plugin.VXLAN else ()
    ipvs = ("ip_vs",) if host.proxy.mode is ProxyMode.IPVS else ()
    return ("overlay", "br_netfilter", "nf_conntrack", *vxlan, *ipvs)


def probe(spec: ClusterSpec, host: Host, *, thorough: bool | None = None) -> str:
    """sh text that answers a ``Survey`` of *host*; *thorough*: the second half too; None: where no ledger of ours lies."""
    text = QUICK + THOROUGH.replace("@sync@", SYNC if host.is_master else "").replace("@sockets@", SOCKETS.lstrip())
    return _filled(text, spec, host, thorough={True: "1", False: "''", None: "new"}[thorough])


def living(spec: ClusterSpec, host: Host) -> str:
    """The part of the survey that explains a running cluster: what is quick to ask, and who listens."""
    return _filled(QUICK + SOCKETS, spec, host, thorough="''")


def _filled(text: str, spec: ClusterSpec, host: Host, *, thorough: str) -> str:
    remains = [path for group in (hosts.REMAINS, hosts.RUNTIMES) for listed in group.values() for path in listed]
    units = [*hosts.TIME_UNITS, *hosts.FIREWALL_UNITS, *hosts.INSTALLER_UNITS, *hosts.RUNTIME_UNITS]
    values = {
        "limits": sh(" ".join(map(hosts.proc, hosts.LIMITS))),
        "sysctls": sh(*map(hosts.proc, hosts.FORWARDING)),
        "modules": sh(*modules(spec, host)),
        "commands": sh(*hosts.COMMANDS, "haproxy"),
        "remains": sh(*remains, hosts.ETCD_MEMBER),
        "folders": sh(*hosts.UNIT_FOLDERS),
        "ours": sh(*hosts.OUR_UNITS),
        "cni": hosts.CNI_FOLDER,
        "written": sh(*hosts.WRITTEN),
        "ancestors": sh(" ".join(_ancestors())),
        "thorough": thorough,
        "ledger": paths.LEDGER,
        "registry": _NOBODY if spec.artifacts.offline else hosts.REGISTRY,
        "units": sh(*units),
        "locks": sh(*hosts.PACKAGE_LOCKS),
        "data": paths.ETCD_DATA,
        "chains": "|".join(installers.CHAINS),
        "encryption": paths.ENCRYPTION_CONFIG,
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _ancestors() -> list[str]:
    return sorted({str(p) for path in hosts.WRITTEN for p in (PurePosixPath(path), *PurePosixPath(path).parents)})


def parse(output: str) -> Survey:
    """The survey from the probe's answer; what a host did not say is as if it had not been asked."""
    said: defaultdict[str, list[str]] = defaultdict(list)
    for line in output.splitlines():
        key, found, value = line.partition("=")
        if found and key.isalpha():
            said[key].append(value)
    one = {key: values[-1] for key, values in said.items()}
    addresses = [match.groups() for line in output.splitlines() if (match := _ADDRESS.match(line))]
    return Survey(
        container=one.get("container", ""),
        product_uuid=one.get("uuid", "").lower(),
        controllers=frozenset(one.get("controllers", "").split()),
        rooms=tuple(_rooms(said)),
        links=tuple(_links(said["link"], addresses)),
        routes=tuple(_routes(output)),
        host_keys=frozenset(said["key"]),
        own_names=tuple(said["own"]),
        nameservers=tuple(said["nameserver"]) if "resolver" in one else None,
        fstab_swap=tuple(said["fstab"]),
        limits={_name(file): int(value) for file, value in _pairs(said["limit"]) if value.isdigit()},
        modules=dict(_pairs(said["module"])),
        sysctls=dict(_sysctls(said["sysctl"])),
        selinux=one.get("selinux", ""),
        apparmor=one.get("apparmor", "") == "Y",
        missing=frozenset(said["missing"]),
        remains=tuple(said["found"]),
        drop_ins=tuple(said["dropin"]),
        cni=tuple(name for name in said["cni"] if "*" not in name),
        ipvs=one.get("ipvs", ""),
        thorough="thorough" in one,
        sockets=tuple(_sockets(said["socket"])),
        active=frozenset(unit for unit, state in zip(said["Id"], said["ActiveState"], strict=False) if state == "active"),
        ufw="ufw" in one,
        sync_ms=_sync_ms(one.get("sync", "")),
        lookup=_lookup(one.get("lookup", "")),
        chains=tuple(dict.fromkeys(said["chain"])),
        locks=tuple(said["lock"]),
        seal_keys=tuple(key[:FINGERPRINT] for key in said["sealkey"]),
    )


def _pairs(values: Sequence[str]) -> list[tuple[str, str]]:
    return [(left, right) for left, _, right in (value.partition(" ") for value in values)]


def _name(file: str) -> str:
    return file.removeprefix("/proc/sys/").replace("/", ".")


def _sysctls(values: Sequence[str]) -> Iterator[tuple[str, str]]:
    """``ro /proc/sys/a/b 1`` → (a.b, «1 ro»)."""
    for mode, rest in _pairs(values):
        file, _, value = rest.partition(" ")
        yield _name(file), f"{value} ro" if mode == "ro" else value


def _rooms(said: Lines) -> Iterator[Room]:
    rooms = {value.rsplit(" ", 4)[0]: [int(number) for number in value.rsplit(" ", 4)[1:]] for value in said["room"]}
    mounts = {mount: frozenset(options.split(",")) for mount, options in _pairs(said["mount"])}  # of two on one place the later is seen
    for path, existing in _pairs(said["place"]):
        if existing in rooms:
            block, free, inodes, free_inodes = rooms[existing]
            above = [str(p) for p in (PurePosixPath(existing), *PurePosixPath(existing).parents) if str(p) in mounts]
            mount = above[0] if above else "/"
            options = mounts.get(mount, frozenset())
            yield Room(path=path, mount=mount, free_kb=block * free // 1024, inodes=inodes, free_inodes=free_inodes, options=options)


def _links(values: Sequence[str], addresses: Sequence[tuple[str, ...]]) -> Iterator[Link]:
    known = {value.split()[0]: value.split() for value in values}
    for name in dict.fromkeys([*known, *(link for link, _ in addresses)]):
        _, mtu, mac = (*known.get(name, (name, "0", "")), "")[:3]
        yield Link(name=name, mac=mac, mtu=int(mtu), addresses=tuple(address for link, address in addresses if link == name))


def _routes(output: str) -> Iterator[Route]:
    for line in output.splitlines():
        if match := _ROUTE.match(line):
            network = IPv4Network("0.0.0.0/0" if match[2] == "default" else match[2], strict=False)
            words = line.split()
            yield Route(network=network, link=words[words.index("dev") + 1] if "dev" in words else "", text=" ".join(words).replace("\\", ""))


def _sockets(values: Sequence[str]) -> Iterator[Socket]:
    for value in values:
        protocol, local, pid, cgroup, command = (value.split(" ", 4) + ["-"] * 4)[:5]
        address, _, number = local.rpartition(":")
        if number.isdigit():
            units = _UNIT.findall(cgroup)
            plain = address.partition("%")[0].strip("[]")
            yield Socket(
                protocol=protocol,
                address=plain,
                number=int(number),
                pid=int(pid) if pid.isdigit() else 0,
                command="" if command == "-" else command,
                unit=units[-1] if units else "",
            )


def _sync_ms(text: str) -> float | None:
    match = _COPIED.search(text)
    return float(match[2]) * 1000 * _SYNC_WRITE / int(match[1]) if match and int(match[1]) else None


def _lookup(text: str) -> Lookup | None:
    words = text.split()
    return Lookup(name=words[3], found=words[0] == "0", seconds=float(words[2]) - float(words[1])) if len(words) == 4 else None
