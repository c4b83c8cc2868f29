"""Networks: no two overlap, and each is large enough for what lives in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from typing import Final

from kbootstrap.inventory.draft import Draft
from kbootstrap.inventory.finding import Finding
from kbootstrap.inventory.tree import Path

_SERVICES: Final = (12, 28)  # kube-apiserver refuses a range larger than /12; the DNS service is the tenth address
_PODS: Final[Path] = ("network", "pods")


def ranges_overlap(draft: Draft) -> Iterator[Finding]:
    """Pods and services are told apart by address alone."""
    network = draft.spec.network
    if network.pods.overlaps(network.services):
        path = ("network", "services") if draft.document.node(("network", "services")) else _PODS
        yield draft.error(path, f"network: services {network.services} overlaps pods {network.pods}", "Choose ranges that nothing else uses.")


def hosts_outside(draft: Draft) -> Iterator[Finding]:
    """An address inside a pod or service range would never be reached again once the routes are there."""
    network = draft.spec.network
    for path, what, address in _outside_addresses(draft):
        for name, taken in (("pods", network.pods), ("services", network.services)):
            if address in taken:
                hint = f"Move network.{name} to a range that nothing else uses."
                yield draft.error(path, f"{what} {address} lies inside network.{name} {taken}", hint)


def _outside_addresses(draft: Draft) -> Iterator[tuple[Path, str, IPv4Address]]:
    for host in draft.spec.hosts:
        yield draft.path_of(host.name, "address"), f"{host.name}: address", host.address
        door = _address(host.ssh.host)
        if door and door != host.address:
            yield draft.path_of(host.name, "ssh", "host"), f"{host.name}: ssh.host", door
    if balancer := _address(draft.spec.endpoint.address):
        yield ("endpoint", "address"), "endpoint: address", balancer


def _address(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(text)
    except ValueError:
        return None


def services_size(draft: Draft) -> Iterator[Finding]:
    """Large enough for the DNS service, small enough for kube-apiserver."""
    services = draft.spec.network.services
    largest, smallest = _SERVICES
    if services.prefixlen > smallest:
        what = f"network: services {services} has {services.num_addresses} addresses; the DNS service is the tenth"
        yield draft.error(("network", "services"), what, f"Use /{smallest} or larger, such as 10.96.0.0/16.")
    elif services.prefixlen < largest:
        yield draft.error(("network", "services"), f"network: services {services} is larger than /{largest}, which kube-apiserver refuses", "")


def ranges_for_hosts(draft: Draft) -> Iterator[Finding]:
    """Each host gets a range of its own out of the pods' range."""
    network, count = draft.spec.network, len(set(draft.listed("masters") + draft.listed("workers")))
    bits = network.host_prefix - network.pods.prefixlen
    ranges = 2**bits if bits >= 0 else 0
    if ranges < count:
        what = f"network: pods {network.pods} has room for {ranges} host ranges of /{network.host_prefix}, and there are {count} hosts"
        yield draft.error(_PODS, what, "Make pods larger or host_prefix longer.")


def pods_for_hosts(draft: Draft) -> Iterator[Finding]:
    """kubelet's pod limit fits into the host's range: network, broadcast and the bridge take three addresses."""
    network = draft.spec.network
    room = 2 ** (32 - network.host_prefix) - 3
    tight = [host for host in draft.spec.hosts if host.kubelet.max_pods > room]
    if tight:
        names = ", ".join(host.name for host in tight[:3]) + (f" and {len(tight) - 3} more" if len(tight) > 3 else "")
        wanted = f"kubelet.max_pods is {tight[0].kubelet.max_pods} on {names}"
        what = f"network: host_prefix {network.host_prefix} gives {room} pod addresses per host, but {wanted}"
        setting = draft.path_of(tight[0].name, "kubelet", "max_pods")
        path = setting if setting[-1] == "max_pods" else ("network", "host_prefix")
        yield draft.error(path, what, f"Shorten host_prefix or set kubelet.max_pods to {room} or less.")


NETWORK_RULES: Final[tuple[Callable[[Draft], Iterator[Finding]], ...]] = (
    ranges_overlap, hosts_outside, services_size, ranges_for_hosts, pods_for_hosts,
)  # fmt: skip
