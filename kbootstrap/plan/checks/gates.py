"""Health gates: sh text that waits on the host until something is healthy, and tells the autopsy when it does not become so.

A gate ends with 0 once its condition holds and systemd has no job left for the units: while a restart is queued, the old process still answers.
Otherwise it prints the last answer of the condition and the units' states; their last words are the autopsy's (``engine/autopsy.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from kbootstrap.catalog import paths, ports
from kbootstrap.model.host import Host
from kbootstrap.model.plan import Gate

SOFT_S = 60  # how long a gate waits for what it does not insist on

AUTOPSY = """\
echo "{label}: $out" | tail -n 4
for u in {units}; do
  echo "$u $(systemctl show -p ActiveState,SubState,Result,NRestarts "$u" | tr '\\n' ' ')"
done
"""
"""What a gate says when its condition does not come true: ``$out``, then each unit's state."""

# What no patience mends: a unit that ended for one of these again and again does so the next time, too.
_RESTARTS = 5
_HOPELESS = (
    "unknown flag|flag provided but not defined|status=203/EXEC|cannot statx? .*No such file|address already in use|[Nn]o space left on device"
    "|private key does not match|failed to find any PEM data|open /[^ ]*: permission denied"
)

_WAIT = """\
exec </dev/null
restarts() {{ systemctl show -p NRestarts --value {units} | awk '{{ n += $1 }} END {{ print n + 0 }}'; }}
end=$(( $(date +%s) + {deadline_s} )) polls=0 first=$(restarts)
while :; do
  if [ $(( polls += 1 )) -ge 10 ]; then
    polls=0 now=$(restarts)
    [ "$now" -ge "$first" ] || first=$now
    [ $(( now - first )) -lt {restarts} ] || ! journalctl --since -10s --no-pager -o cat {of_units} 2>/dev/null | grep -qE '{hopeless}' || break
  fi
  case "$(systemctl show -p Job --value {units})" in
    *[0-9]*) out='systemd is still at work' ;;
    *) out=$( {condition} 2>&1 ) && {{ {then} exit 0; }} ;;
  esac
  [ "$(date +%s)" -lt "$end" ] || break
  sleep 0.2
done
{autopsy}exit 1
"""


def wait(label: str, condition: str, units: Sequence[str], deadline_s: int = 120, *, then: str = "") -> Gate:
    """A gate that polls *condition* (sh text) five times a second, and once it holds runs *then*. It gives up early where a unit ends
    again and again for what no patience mends."""
    names = " ".join(units)
    patience = {"restarts": _RESTARTS, "hopeless": _HOPELESS, "of_units": " ".join(f"-u {unit}" for unit in units)}
    autopsy = AUTOPSY.format(label=label, units=names)
    text = _WAIT.format(condition=condition, units=names, deadline_s=deadline_s, then=then, autopsy=autopsy, **patience)
    return Gate(name=label, text=text, deadline_s=deadline_s + SOFT_S + 30)


def etcdctl(host: Host, *others: Host) -> str:
    """etcdctl of *host* against its own member, or against those of *others*."""
    pki = paths.ETCD_PKI
    endpoints = ",".join(f"https://{each.address}:{ports.ETCD_CLIENT.number}" for each in others or (host,))
    return (
        f"{paths.BIN}/etcdctl --endpoints={endpoints} --cacert={pki}/ca.crt --cert={pki}/server.crt --key={pki}/server.key"
        " --dial-timeout=2s --command-timeout=4s"
    )


def kubectl(host: Host) -> str:
    """kubectl of *host* against its own API server, as admin."""
    server = f"https://{host.address}:{ports.API.number}"
    return f"{paths.BIN}/kubectl --kubeconfig={paths.ADMIN_CONF} --server={server} --cache-dir={paths.RUN}/cache"


_MOVE = """\
for id in $({etcdctl} member list 2>/dev/null | sed -n '/, {name}, /d; s/^\\([0-9a-f]*\\), started, .*, false$/\\1/p'); do
  {etcdctl} move-leader "$id" >/dev/null 2>&1 && break || :
done
"""


_TELL = """\
known=$({etcdctl} member list 2>/dev/null | grep ', {name}, ') || known=
case "$known" in
  '' | *', {peer}, '*) ;;
  *) {etcdctl} member update "${{known%%,*}}" --peer-urls={peer} >/dev/null 2>&1 || : ;;
esac
"""


def move_leader(host: Host) -> str:
    """Another member leads before this one stops: it would hand over by itself (MoveLeader in EtcdServer.Stop), but only once it serves nobody."""
    return _MOVE.format(etcdctl=etcdctl(host), name=host.name)


def _etcd_ahead(host: Host, masters: Sequence[Host]) -> str:
    """The others are told a new address of this member before it listens there: etcd itself tells them only where it serves clients."""
    others = [master for master in masters if master.name != host.name]
    if not others:
        return move_leader(host)
    peer = f"https://{host.address}:{ports.ETCD_PEER.number}"
    return _TELL.format(etcdctl=etcdctl(host, *others), name=host.name, peer=peer) + move_leader(host)


AHEAD: Mapping[str, Callable[[Host, Sequence[Host]], str]] = MappingProxyType({"etcd-endpoint": _etcd_ahead})
"""By the name of a role's gate: what a host does before it restarts a running unit of the role, all masters given; it never fails."""

Maker = Callable[[Host, Sequence[str]], Gate]


# An API server stops with its member and needs longer to come back: the next member must not restart meanwhile, or all API servers are down at
# once. It is waited for softly, since a later stage may be about to mend it.
_API_TOO = """\
end=$(( $(date +%s) + {soft_s} ))
while [ "$(date +%s)" -lt "$end" ]; do
  case "$(systemctl show -p ActiveState --value kube-apiserver.service)" in active|activating|deactivating) ;; *) break ;; esac
  {kubectl} --request-timeout=4s get --raw /readyz >/dev/null 2>&1 && break
  sleep 0.5
done
"""


def _etcd(host: Host, units: Sequence[str]) -> Gate:
    then = _API_TOO.format(soft_s=SOFT_S, kubectl=kubectl(host))
    return wait("etcd-endpoint", f"{etcdctl(host)} endpoint health", units, then=f"\n{then}")


def _apiserver(host: Host, units: Sequence[str]) -> Gate:
    return wait("apiserver-readyz", f"{kubectl(host)} --request-timeout=4s get --raw /readyz", [*units, "etcd.service"])


def _containerd(host: Host, units: Sequence[str]) -> Gate:
    del host
    return wait("containerd-answers", f"{paths.BIN}/ctr --connect-timeout 2s version", units)


def active(host: Host, units: Sequence[str]) -> Gate:
    """All *units* are active (systemd calls a unit that waits for its readiness «activating»); nodes are waited for once, at the end."""
    del host
    return wait("units-active", f"systemctl is-active {' '.join(units)}", units, deadline_s=90)


HEALTH: Mapping[str, Maker] = MappingProxyType(
    {
        "": active,
        "etcd-endpoint": _etcd,
        "apiserver-readyz": _apiserver,
        "endpoint-answers": active,
        "containerd-answers": _containerd,
        "controller-manager-healthz": active,
        "scheduler-healthz": active,
        "proxy-healthz": active,
        "node-ready": active,
    }
)
