"""What the values mean together: hosts and cluster-wide settings. Each rule yields its findings; ``RULES`` is the list of all.

A rule sees a draft without the parts that shape.py refused, so it must live with anything missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from kbootstrap.catalog import checks, releases, timing
from kbootstrap.inventory.draft import Draft
from kbootstrap.inventory.finding import Finding, did_you_mean
from kbootstrap.inventory.layers import entries, host_names, layers_of, origin
from kbootstrap.inventory.rules_network import NETWORK_RULES
from kbootstrap.inventory.tree import Path
from kbootstrap.model.cluster import ArtifactSource, EndpointKind, ImageSource
from kbootstrap.model.host import ProxyMode

Rule = Callable[[Draft], Iterator[Finding]]


def judge(draft: Draft) -> list[Finding]:
    """All findings of all rules."""
    return [finding for rule in RULES for finding in rule(draft)]


def required(draft: Draft) -> Iterator[Finding]:
    """Name, version and addresses have no default."""
    if draft.document.is_empty(("cluster",)):
        yield draft.error(("cluster",), "cluster: the name is missing", "Write `cluster: lab`.")
    if draft.document.is_empty(("kubernetes",)):
        yield draft.error(("kubernetes",), "kubernetes: the version is missing", f'Write `kubernetes: "{releases.default_kubernetes()}"`.')
    for name in host_names(draft.file):
        path = layers_of(draft.file, name)[-1].path
        if all(draft.document.is_empty((*layer.path, "address")) for layer in layers_of(draft.file, name)[1:]):
            yield draft.error(path, f"{name}: the address is missing", "Write `address: ` and the IPv4 address that the other hosts reach it by.")


def masters_problem(count: int) -> str:
    """Why a cluster cannot have *count* masters; empty if it can."""
    needs = "etcd needs an odd number (1, 3, 5)"
    if count <= 0:
        return f"masters: {'none' if count == 0 else count} given; {needs}"
    return "" if count % 2 else f"masters: {count} given; {needs}: quorum of {count} is {count // 2 + 1}, one more host, no more failures survived"


def odd_masters(draft: Draft) -> Iterator[Finding]:
    """etcd's quorum: an even member count costs a host and survives no more failures than one less."""
    count = len(draft.listed("masters"))
    path: Path = ("hosts", "masters")
    if count == 0:
        yield draft.error(path, masters_problem(count), "Add `hosts: {masters: {m1: {address: …}}}`.")
    elif problem := masters_problem(count):
        yield draft.error(path, problem, "Add or remove one.")
    elif count > 7:
        yield draft.warning(path, f"masters: {count} given; every write waits for {count // 2 + 1} of them", "Five survive two failures.")


def some_workers(draft: Draft) -> Iterator[Finding]:
    """Legal, but ordinary pods then have nowhere to go."""
    if draft.listed("masters") and not draft.listed("workers"):
        what = "workers: none given; masters stay tainted, so ordinary pods will not run"
        yield draft.warning(("hosts",), what, "List a master under workers too.")


def one_place_per_host(draft: Draft) -> Iterator[Finding]:
    """A host in both lists has its settings in one of them; otherwise nobody could say which holds."""
    workers = entries(draft.file, "workers")
    for name, entry in entries(draft.file, "masters").items():
        if name in workers and entry.model_fields_set and workers[name].model_fields_set:
            first = draft.document.mark(("hosts", "masters", name)).line
            what = f"{name} has settings here and under masters (line {first})"
            yield draft.error(("hosts", "workers", name), what, f"Keep them there and write `{name}: {{}}` here.")


def distinct_addresses(draft: Draft) -> Iterator[Finding]:
    """Two names for one machine, or Vagrant's 10.0.2.15 on each."""
    seen: dict[str, str] = {}
    doors: dict[str, str] = {}
    for host in draft.spec.hosts:
        first = seen.setdefault(str(host.address), host.name)
        if first != host.name:
            what = f"{host.name}: address {host.address} belongs to {first} already"
            yield draft.error(draft.path_of(host.name, "address"), what, "Every host has an address of its own.")
            continue
        door = f"{host.ssh.host} port {host.ssh.port}{f' through {host.ssh.bastion.host}' if host.ssh.bastion else ''}"
        if (first := doors.setdefault(door, host.name)) != host.name:
            setting = "host" if draft.path_of(host.name, "ssh", "host")[-1] == "host" else "port"
            what = f"{host.name}: ssh to {door} leads to {first} already"
            yield draft.error(draft.path_of(host.name, "ssh", setting), what, "Check host and port.")


def group_members(draft: Draft) -> Iterator[Finding]:
    """Groups speak of hosts that exist."""
    known = dict.fromkeys([*draft.listed("masters"), *draft.listed("workers")])
    for group, entry in (draft.file.groups or {}).items():
        for index, name in enumerate(entry.hosts or []):
            if name not in known:
                hint = did_you_mean(name, known)
                yield draft.error(("groups", group, "hosts", index), f"group {group}: there is no host {name}", hint)


def endpoint_address(draft: Draft) -> Iterator[Finding]:
    """Only an external endpoint has an address, and it must have one."""
    endpoint = draft.spec.endpoint
    if endpoint.kind is EndpointKind.EXTERNAL and not endpoint.address and draft.document.is_empty(("endpoint", "address")):
        hint = "Write `endpoint: {kind: external, address: 10.0.0.5}`."
        yield draft.error(("endpoint",), "endpoint: external needs the address of your load balancer", hint)
    elif endpoint.kind is not EndpointKind.EXTERNAL and (endpoint.address or endpoint.port):
        key = "address" if endpoint.address else "port"
        yield draft.error(("endpoint", key), f"endpoint: {endpoint.kind} runs on every host and takes no {key}", "Remove it, or use kind: external.")


def bastion_host(draft: Draft) -> Iterator[Finding]:
    """A bastion is somewhere."""
    told: set[Path] = set()
    for name in host_names(draft.file):
        layers = layers_of(draft.file, name)
        layer = origin(layers, ("ssh", "bastion"))
        if layer is None or not all(draft.document.is_empty((*each.path, "ssh", "bastion", "host")) for each in layers):
            continue
        if (path := (*layer.path, "ssh", "bastion")) not in told:
            told.add(path)
            yield draft.error(path, "bastion: the host is missing", "Write `bastion: {host: …}`.")


def node_failure_times(draft: Draft) -> Iterator[Finding]:
    """A hung connection must be left before the node counts as lost (kube-controller-manager's own condition)."""
    times = draft.spec.node_failure
    ping = timing.HTTP2_READ_IDLE_S + timing.HTTP2_PING_S
    path: Path = ("node_failure", "grace_s")
    if times.grace_s <= ping:
        why = f"a hung connection is noticed after {ping} s, so healthy nodes would count as lost"
        yield draft.error(path, f"node_failure: grace_s is {times.grace_s}; {why}", f"Write {ping + 1} or more; the default is 40.")
    if times.grace_s < 2 * times.status_period_s:
        periods = f"two status periods of {times.status_period_s} s"
        what = f"node_failure: grace_s is {times.grace_s}, less than {periods}; one late report would lose a node"
        yield draft.error(path, what, "Kubernetes' own figures are 5 and 40.")


def etcd_times(draft: Draft) -> Iterator[Finding]:
    """etcd refuses to start with an election timeout below five heartbeats."""
    etcd = draft.spec.etcd
    if etcd.election_ms < 5 * etcd.heartbeat_ms:
        what = f"etcd: election_ms is {etcd.election_ms}, less than five heartbeats of {etcd.heartbeat_ms} ms; etcd refuses that"
        yield draft.error(("etcd", "election_ms"), what, f"Write {10 * etcd.heartbeat_ms}.")


def certificate_times(draft: Draft) -> Iterator[Finding]:
    """A leaf may not outlive its CA, and must live longer than its renewal window."""
    times = draft.spec.certificates
    if times.leaf_days > times.ca_days:
        yield draft.error(("certificates", "leaf_days"), f"certificates: leaf_days {times.leaf_days} is longer than ca_days {times.ca_days}", "")
    if times.renew_within_days >= times.leaf_days:
        what = f"certificates: renew_within_days {times.renew_within_days} is not below leaf_days {times.leaf_days}; every run would renew everything"
        yield draft.error(("certificates", "renew_within_days"), what, f"Write {max(times.leaf_days // 3, 0)} or less.")


def mirror_given(draft: Draft) -> Iterator[Finding]:
    """``source: mirror`` says where."""
    artifacts = draft.spec.artifacts
    if artifacts.source is ArtifactSource.MIRROR and not artifacts.mirror and draft.document.is_empty(("artifacts", "mirror")):
        yield draft.error(("artifacts", "source"), "artifacts: source is mirror, but mirror is not given", "Write `mirror: ` and a directory or URL.")


def offline_alone(draft: Draft) -> Iterator[Finding]:
    """Without a way out nobody is asked for files, neither by us nor by hosts."""
    artifacts = draft.spec.artifacts
    if artifacts.offline and artifacts.images is ImageSource.PULL:
        yield draft.error(
            ("artifacts", "images"), "artifacts: offline is true, and images: pull sends the hosts to a registry", "Write `images: bundle`."
        )
    if artifacts.offline and "://" in artifacts.mirror:
        what = f"artifacts: offline is true, and the mirror {artifacts.mirror} would be asked"
        yield draft.error(("artifacts", "mirror"), what, "Name a directory, or bring everything by bundle.load and leave mirror out.")


def waivers(draft: Draft) -> Iterator[Finding]:
    """Each finding is accepted by its check's name; whoever accepts all of them would not read the next one."""
    for name in draft.spec.preflight.waive:
        path: Path = ("preflight", "waive", name)
        if name in ("all", "*"):
            yield draft.error(path, f"waive: {name} is refused", "Name each check that you accept, with a reason; preflight.run shows their ids.")
        elif name not in checks.WAIVABLE:
            yield draft.error(path, f"waive: no check is called {name}", did_you_mean(name, checks.WAIVABLE))
        elif not checks.WAIVABLE[name].waivable:
            yield draft.error(path, f"waive: {name} cannot be waived: {checks.WAIVABLE[name].reason}", "Mend what it finds.")


def known_minor(draft: Draft) -> Iterator[Finding]:
    """Flags and configuration are written for certain Kubernetes minors."""
    minors = releases.minors()
    if draft.file.kubernetes and releases.minor_of(draft.file.kubernetes) not in minors:
        what = f"kubernetes: {draft.file.kubernetes} is not of a minor that is installed here ({', '.join(minors)})"
        yield draft.error(("kubernetes",), what, f'Write "{releases.default_kubernetes()}".')


def proxy_mode(draft: Draft) -> Iterator[Finding]:
    """ipvs works, for now."""
    told: set[Path] = set()
    for host in draft.spec.hosts:
        path = draft.path_of(host.name, "proxy", "mode")
        if host.proxy.mode is ProxyMode.IPVS and path not in told:
            told.add(path)
            yield draft.warning(path, "proxy: mode ipvs is deprecated by Kubernetes", "Use nftables.")


def firewall_mode(draft: Draft) -> Iterator[Finding]:
    """Strict needs the right to change rules."""
    told: set[Path] = set()
    for host in draft.spec.hosts:
        path = draft.path_of(host.name, "firewall", "strict")
        if host.firewall.strict and not host.firewall.opens and path not in told:
            told.add(path)
            what = f"firewall: strict does nothing where manage is {host.firewall.manage}"
            yield draft.error(path, what, "Write `manage: true`, or leave strict out.")


RULES: Final[tuple[Rule, ...]] = (
    required, odd_masters, some_workers, one_place_per_host, distinct_addresses, group_members, endpoint_address, bastion_host,
    node_failure_times, etcd_times, certificate_times, mirror_given, offline_alone, waivers, known_minor, proxy_mode, firewall_mode, *NETWORK_RULES,
)  # fmt: skip
