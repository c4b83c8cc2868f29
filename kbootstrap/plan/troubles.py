"""What explains that a cluster is not well: the usual deaths, each with the one line that mends it. Pure: from what the hosts said to ``Trouble``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from kbootstrap.catalog import paths
from kbootstrap.errors import PkiError, counted
from kbootstrap.model.certificate import rotation
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.facts import Observed
from kbootstrap.model.host import Host
from kbootstrap.model.pki import Pki
from kbootstrap.model.status import CERTIFICATE_SOON_D, DISK_FULL_PERCENT, Certificate, HostState, Member, Trouble
from kbootstrap.pki import inspect, rotate
from kbootstrap.pki.profiles import CAS, PLACES
from kbootstrap.plan import certificate_sh
from kbootstrap.plan.checks.finding import Context
from kbootstrap.plan.preflight import preflight
from kbootstrap.report.etcd import HINTS
from kbootstrap.resources import firewall
from kbootstrap.resources.firewall.look import Seen
from kbootstrap.rolebook.openings import NAME, openings

DEADLY: Final = (
    "cluster-marker", "systemd", "disk-inodes", "mount-options", "swap", "cgroup", "cgroup-controllers", "kernel-modules", "sysctl", "clock",
    "hostname", "hosts-file", "machine-id", "address", "unique-address", "network-overlap", "mtu", "port", "other-installer", "unit-drop-ins",
    "cni-files", "firewall-managers", "firewall", "commands",
)  # fmt: skip
"""The preflight's checks that matter to a cluster that runs. Space has a measure of its own here: what kubelet and etcd stop at is a share."""
_DISK_GRAVE_PERCENT: Final = 97
_CA_OF: Final = {PLACES[name].cert: name for name in CAS}


def troubles(context: Context, hosts: Sequence[HostState], members: Sequence[Member]) -> Iterator[Trouble]:
    """What preflight would refuse now, full disks, certificates at their end, firewalls that are not open, etcd's alarms, a lost quorum."""
    for finding in preflight(context, DEADLY):
        if not finding.waived:
            yield Trouble(id=finding.check, where=finding.host, what=finding.what, hint=finding.hint, warning=finding.warning)
    for host in hosts:
        yield from _of_host(host)
    for host_ in context.spec.hosts:
        if host_.name in context.observed:
            yield from _opened(context.spec, host_, context.observed[host_.name])
            yield from _swapped(host_, context.observed[host_.name])
    for member, kind in sorted({alarm for each in members for alarm in each.alarms}):
        yield Trouble(id="alarm", where=member, what=f"etcd's alarm {kind}", hint=HINTS.get(kind, "invoke etcd.alarms"))
    yield from _quorum(context.spec, context.observed, members)


def _of_host(host: HostState) -> Iterator[Trouble]:
    for mount, used in host.disks.items():
        if used >= DISK_FULL_PERCENT:
            hint = f"On {host.name}: du -axh --max-depth=2 {mount} | sort -h | tail. etcd stops writing on a full disk, kubelet evicts pods."
            what = f"{mount} is {used} % full"
            yield Trouble(id="disk", where=host.name, what=what, hint=hint, warning=used < _DISK_GRAVE_PERCENT)
    if host.certificate is not None and host.certificate.days_left < CERTIFICATE_SOON_D:
        left = host.certificate.days_left
        days = counted(round(abs(left)), "day")
        what = f"expired {days} ago" if left <= 0 else f"expires {days} from now"
        what = f"{host.certificate.path} {what if host.certificate.readable else 'holds no readable certificate'}"
        hint = _renewal(host.certificate)
        yield Trouble(id="certificate", where=host.name, what=what, hint=hint, warning=left > 0)


def _renewal(certificate: Certificate) -> str:
    if not certificate.readable:
        return "invoke cluster.up brings the right one."
    if certificate.path in _CA_OF:  # no run makes another CA by itself
        return f"{rotation(_CA_OF[certificate.path])} replaces it while the cluster serves."
    return "invoke cluster.up issues what is about to expire."


def strangers(host: str, output: str, ours: Pki) -> Iterator[Trouble]:
    """The CAs that *host* holds, as its section «certificates» tells them, and that are none of *ours*; the cluster's own is judged by its marker."""
    for path, pem in certificate_sh.files(output):
        name = _CA_OF.get(path, "")
        if name in ours.cas and path != paths.CA and (found := _blocks(pem)) and found not in map(_blocks, rotate.recognised(ours, name)):
            hint = "invoke cluster.up brings ours. If every host says so, restore inventory/…/pki instead."
            yield Trouble(id="authority", where=host, what=f"{path} is another CA's", hint=hint)


def _blocks(pem: bytes) -> frozenset[bytes]:
    """The certificates of *pem*; none where they cannot be read, which is told by itself."""
    try:
        return frozenset(inspect.blocks(pem))
    except PkiError:
        return frozenset()


def _opened(spec: ClusterSpec, host: Host, observed: Observed) -> Iterator[Trouble]:
    """A firewall that we were to open, and that drops again. Rules that are merely kept for one that is switched on later are no trouble."""
    seen: Seen | None = observed.kinds.get("firewall", {}).get(NAME)
    if seen is None or not (seen.filters or host.firewall.strict):
        return
    if difference := firewall.diff(openings(spec, host), seen):
        yield Trouble(id="firewall", where=host.name, what=f"its firewall is not open: {difference.reason}", hint="invoke firewall.apply")


def _swapped(host: Host, observed: Observed) -> Iterator[Trouble]:
    """Where we were to switch it off, preflight finds nothing wrong: the next run would do it."""
    if observed.facts.swap and host.kubelet.fail_swap_on and host.host.swap != "leave":
        yield Trouble(id="swap", where=host.name, what="swaps, and kubelet will not start", hint="invoke cluster.up switches it off.")


def _quorum(spec: ClusterSpec, observed: Mapping[str, Observed], members: Sequence[Member]) -> Iterator[Trouble]:
    masters = [host.name for host in spec.masters]
    alive = sum(name in observed for name in masters)
    serving = sum(not member.reason for member in members)
    if alive <= len(masters) // 2:
        what = f"{alive} of {len(masters)} masters can be read: without a majority etcd serves nothing"
        yield Trouble(id="quorum", where="cluster", what=what, hint="Bring masters back; their data is on their disks.")
    elif serving <= len(masters) // 2:
        what = f"{serving} of {len(masters)} etcd members serve: without a majority nothing is written or read"
        hint = "Start the others: UNITS says how. Where their disks are lost: invoke etcd.recover."
        yield Trouble(id="quorum", where="cluster", what=what, hint=hint)


def unreached(target: str, port: int, purpose: str, sources: Sequence[str], why: str) -> Trouble:
    """*sources* do not get through to *port* of *target*, where somebody listens."""
    what = f"does not answer {', '.join(sources)} at tcp {port} ({purpose}), where it listens: {why}"
    return Trouble(id="reach", where=target, what=what, hint="invoke ports.check names the rule that drops it, and the command against it.")
