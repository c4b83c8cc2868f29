"""The sh texts of leaving a host that need no ledger: they find what is ours by names and paths that only we use."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from kbootstrap.catalog import paths, traces
from kbootstrap.render.network import BRIDGE, ROUTE_PROTOCOL, VXLAN_DEVICE
from kbootstrap.resources.difference import sh

_SPECIAL: Final = re.compile(r"([*?\[\]\\])")  # in patterns of find(1)
_ESCAPED: Final = r"\\\1"
UNITS: Final = """\
set --
for u in {units}; do ! systemctl cat "$u" >/dev/null 2>&1 || set -- "$@" "$u"; done
[ $# = 0 ] || {{ systemctl --quiet disable "$@"; systemctl stop "$@"; }}
"""

# Pods, what our units left behind (KillMode=process), shims of our containerd, and what runs in their containers outside of pods.
_OURS: Final = """\
ours() {{
  shims=$(find /proc -maxdepth 2 -name exe -lname {shim}'*' 2>/dev/null | cut -d/ -f3)
  for s in $shims; do echo "$s"; cat /proc/"$s"/task/*/children 2>/dev/null || :; done
  grep -lE {groups} /proc/[0-9]*/cgroup 2>/dev/null | cut -d/ -f3
}}
"""
_PROCESSES: Final = """\
! grep -qE {groups} /proc/self/cgroup || {{ echo 'this session runs in a control group of pods; nothing is killed'; exit 1; }}
for i in $(seq 100); do
  left=$(ours || :)
  [ -n "$left" ] || exit 0
  kill -KILL $left 2>/dev/null || :
  sleep 0.1
done
echo 'these do not end:'; ps -o pid,stat,args -p "$(echo $left | tr ' ' ,)"
exit 1
"""


def processes(units: Sequence[str]) -> str:
    """Kill what is left of *units*, of pods and of our containerd's containers; fails with a list of what does not end."""
    return find_processes(units) + _PROCESSES.format(groups=sh(_in_groups(units)))


def find_processes(units: Sequence[str], shim: str = traces.SHIM) -> str:
    """The function ``ours``, which tells their process ids."""
    return _OURS.format(shim=sh(shim), groups=sh(_in_groups(units)))


def _in_groups(units: Sequence[str]) -> str:
    pods = "|".join(group.replace(".", r"\.") for group in traces.POD_CGROUPS)
    services = "|".join(unit.replace(".", r"\.") for unit in units)
    return rf":/({pods})(/|$)" + (rf"|:/system\.slice/({services})(/|$)" if services else "")


# mountinfo writes a blank as \\040; what was mounted last goes first
_MOUNTED: Final = """\
own=$(sed -n 's/^[^#[:space:]][^[:space:]]*[[:space:]]*\\([^[:space:]]*\\).*/\\1/p' /etc/fstab 2>/dev/null || :)
mounted() {{
  cut -d' ' -f5 /proc/self/mountinfo | tac | grep -E {places} | while IFS= read -r line; do
    p=$(printf '%b' "$(printf '%s' "$line" | sed 's/\\\\\\([0-7][0-7][0-7]\\)/\\\\0\\1/g')")
    for k in {kept}; do [ "$p" != "$k" ] || continue 2; done
    printf '%s\\n' "$own" | grep -qxF -- "$line" || printf '%s\\n' "$p"
  done
}}
"""
_UNMOUNT: Final = """\
for i in 1 2 3 4 5; do
  [ -n "$(mounted)" ] || break
  mounted | while IFS= read -r p; do umount -- "$p" 2>/dev/null || umount -l -- "$p" 2>/dev/null || :; done
done
[ -z "$(mounted)" ] || {{ echo 'these do not unmount:'; mounted; exit 1; }}
[ ! -d {namespaces} ] || {{ find {namespaces} -maxdepth 1 -name '{prefix}*' -exec rm -f -- {{}} +; rmdir -- {namespaces} 2>/dev/null || :; }}
"""


def mounts(data: Mapping[str, Any]) -> str:
    """Unmount what is mounted below data directories (path → None, or what was there before), and the pods' network namespaces."""
    return find_mounts(data) + _UNMOUNT.format(namespaces=traces.NAMESPACES, prefix=traces.NAMESPACE_PREFIX)


def find_mounts(data: Mapping[str, Any]) -> str:
    """The function ``mounted``: everything below a data directory but what lay in it before us; fstab's mounts are the administrator's."""
    kept = [f"{path}/{name}" for path, was in data.items() if was is not None for name in was["names"]]
    below = "|".join(re.escape(path) for path in data)
    places = f"^(({below})/|{traces.NAMESPACES}/{traces.NAMESPACE_PREFIX})" if below else f"^{traces.NAMESPACES}/{traces.NAMESPACE_PREFIX}"
    return _MOUNTED.format(places=sh(places), kept=sh(*kept) or "''")


_NETWORK: Final = """\
for f in -4 -6; do ip $f route flush table all proto {protocol} 2>/dev/null || :; done
[ ! -e /sys/class/net/{ipvs} ] || [ ! -x {proxy} ] || {proxy} --cleanup || :
for v in $(ls -d /sys/class/net/{bridge}/lower_* 2>/dev/null); do ip link delete "${{v##*/lower_}}" 2>/dev/null || :; done
for l in {links}; do [ ! -e "/sys/class/net/$l" ] || ip link delete "$l"; done
for f in iptables ip6tables; do
  command -v $f-save >/dev/null && $f-save 2>/dev/null | grep -q -- {prefix} || continue
  $f-save 2>/dev/null | awk '
    /^[*]/ {{ print; n = 0; next }}
    /^:{prefix}/ {{ c = substr($1, 2); print ":" c " - [0:0]"; chains[n++] = c; next }}
    /^-A {prefix}/ {{ next }}
    /^-A .* -[jg] {prefix}/ {{ sub(/^-A/, "-D"); print; next }}
    /^COMMIT/ {{ for (i = 0; i < n; i++) print "-X " chains[i]; print }}
  ' | $f-restore --noflush
done
"""

# nft prints the tables of iptables with a remark; without rules they are what iptables leaves behind when its last rule goes
_NFT: Final = """\
if command -v nft >/dev/null; then
  have=$(nft list tables)
  is() {{ printf '%s\\n' "$have" | grep -qxF "table $1 $2"; }}
  rules() {{ nft -s list "$@" 2>/dev/null | grep -qvE {empty}; }}
  {commands}
fi
"""
_EMPTY: Final = r"""^#|^table |^\s*chain |^\s*type .* policy accept;$|^\s*}$|^\s*$"""


def network(nft_before: Collection[str]) -> str:
    """Our routes, links and tables, kube-proxy's and kubelet's chains; *nft_before*: tables (``ip filter``) and chains that were there before us."""
    text = _NETWORK.format(
        protocol=ROUTE_PROTOCOL,
        bridge=BRIDGE,
        links=sh(BRIDGE, VXLAN_DEVICE, traces.IPVS_LINK),
        ipvs=traces.IPVS_LINK,
        proxy=f"{paths.BIN}/kube-proxy",
        prefix=traces.IPTABLES_PREFIX,
    )
    return text + _NFT.format(empty=sh(_EMPTY), commands="\n  ".join(_nft(nft_before)))


def _nft(before: Collection[str]) -> Iterator[str]:
    for table in (f"{family} {name}" for name in traces.NFT_TABLES for family in ("ip", "ip6")):
        if table not in before:
            yield f"! is {table} || nft delete table {table}"
    for table in (f"{family} {name}" for name in traces.IPTABLES_TABLES for family in ("ip", "ip6")):
        if table not in before:
            yield f"! is {table} || rules table {table} || nft delete table {table}"
            continue
        for chain in (f"{table} {name}" for name in traces.IPTABLES_CHAINS):
            if chain not in before:
                yield f"! nft -s list chain {chain} >/dev/null 2>&1 || rules chain {chain} || nft delete chain {chain}"


# A unit's control group stays when it was not empty as the unit stopped.
_CGROUPS: Final = """\
systemctl stop {slice} 2>/dev/null || :
for i in $(seq 20); do
  set --
  for d in {groups}; do [ ! -d "$d" ] || set -- "$@" "$d"; done
  [ $# = 0 ] && exit 0
  find "$@" -depth -type d -exec rmdir -- {{}} + 2>/dev/null || :
  sleep 0.1
done
echo "these control groups do not go: $*"
exit 1
"""


def cgroups(units: Sequence[str]) -> str:
    """Remove the control groups of pods and of *units*, all stopped by now; whatever lives in one keeps it and is an error."""
    return _CGROUPS.format(slice=traces.POD_CGROUPS[0], groups=groups(units))


def groups(units: Sequence[str]) -> str:
    """The directories of those control groups, in both versions, as patterns of the shell."""
    ours = (*traces.POD_CGROUPS, *(f"system.slice/{unit}" for unit in units))
    return " ".join(f"/sys/fs/cgroup/{part}{g}" for g in ours for part in ("", "*/"))


def but(names: Iterable[str]) -> str:
    """Conditions of find(1) that leave out just these *names*."""
    return " ".join(f"! -name {sh(_SPECIAL.sub(_ESCAPED, name))}" for name in names)
