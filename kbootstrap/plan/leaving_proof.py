"""The last step of leaving a host: look at everything that was ours, and fail with a list of what is still there.

It changes nothing, and comes while the copies of what was there before still lie on the host, so that what came back is compared with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from kbootstrap.catalog import paths, traces
from kbootstrap.plan import leaving_sh as text
from kbootstrap.render.network import BRIDGE, ROUTE_PROTOCOL, VXLAN_DEVICE
from kbootstrap.resources import swap
from kbootstrap.resources.difference import lines, sh
from kbootstrap.resources.firewall.look import POLICIES, UFW_RULES

Before = Mapping[str, Any]
KINDS: Final = ("service", "binary", "file", "directory", "data", "user", "nft", "swap")
SEEN: Final = "processes, mounts, interfaces, routes, packet rules, files, units, control groups, users and settings"
"""What is looked at, as a person reads it."""

_HEAD: Final = """\
export LC_ALL=C
seen=$(mktemp); trap 'rm -f "$seen"' EXIT
left() { printf '%s\\n' "$*" >>"$seen"; }
each() { while IFS= read -r line; do [ -z "$line" ] || left "$1 $line"; done; }
each_process() {
  while IFS= read -r p; do [ ! -e "/proc/$p" ] || left "process $p $(tr '\\0' ' ' <"/proc/$p/cmdline" 2>/dev/null | head -c 80)"; done
}
gone() { for f in "$@"; do if [ -e "$f" ] || [ -L "$f" ]; then left "file $f"; fi; done; }
same() {
  if [ -d "$2" ] && [ ! -L "$2" ]; then [ -d "$1" ] || left "$1 is not the directory that it was"
  elif [ -e "$2" ] || [ -L "$2" ]; then
    [ "$(stat -c '%F %a %u:%g %s' -- "$1" 2>/dev/null)" = "$(stat -c '%F %a %u:%g %s' -- "$2")" ] &&
      { [ -L "$2" ] && [ "$(readlink -- "$1")" = "$(readlink -- "$2")" ] || cmp -s -- "$1" "$2"; } || left "$1 is not what it was"
  fi
}
setting() { [ ! -r "$1" ] || { set -- "$1" "$2" $(cat "$1"); f=$1 w=$2; shift 2; [ "$*" = "$w" ] || left "setting $f is $*, was $w"; }; }
"""
_NOWHERE: Final = "/dev/null/"
_TAIL: Final = """\
[ -s "$seen" ] || exit 0
echo 'still here:'; sort -u "$seen" | head -n 40
exit 1
"""

_PROCESSES: Final = "{{ ours; find /proc -maxdepth 2 -name exe \\( {exes} \\) 2>/dev/null | cut -d/ -f3; }} | sort -un | each_process"
_NETWORK: Final = """\
for l in {links}; do [ ! -e "/sys/class/net/$l" ] || left "interface $l"; done
for f in -4 -6; do ip $f route show table all proto {protocol} 2>/dev/null | each route; done
find {namespaces} -maxdepth 1 -name '{prefix}*' 2>/dev/null | each namespace
if command -v nft >/dev/null; then
  nft list tables | sed 's/^table //' | grep -xE {tables} | each table
  nft -s list ruleset 2>/dev/null | grep -E '(chain|jump) "?kbootstrap-|comment "kbootstrap |chain {chains}' | sed 's/^[[:space:]]*//' | each rule
fi
for f in iptables-legacy-save ip6tables-legacy-save; do
  ! command -v $f >/dev/null || $f 2>/dev/null | grep -E '^:({chains}|kbootstrap-)' | each rule
done
[ ! -r {ufw} ] || grep -n '^# kbootstrap' {ufw} | each {ufw}
gone {policies}/kbootstrap-*.xml
"""


def proof(was: Mapping[str, Before], settings: Mapping[str, str]) -> str:
    """sh text that exits 1 with what is left.

    *was*: each of ``KINDS`` → name → what was there before us (None: nothing); *settings*: those that came back.
    """
    units, binaries = _absent(was["service"]), _absent(was["binary"])  # what was there before us runs again by now
    return _HEAD + text.find_processes(units, traces.SHIM if traces.SHIM in binaries else _NOWHERE) + text.find_mounts(was["data"]) + lines(
        _processes(binaries),
        "mounted | each mount",
        _network(tuple(was["nft"])),
        *_files({**was["file"], **was["binary"]}),
        *_data(was["data"]),
        *_directories(was["directory"]),
        *_units(was["service"]),
        f"for d in {text.groups(units)}; do [ ! -d \"$d\" ] || left \"control group $d\"; done",
        *(f"! getent passwd {sh(name)} >/dev/null || left {sh(f'user {name}')}" for name in _absent(was["user"])),
        *(f"setting {sh('/proc/sys/' + name.replace('.', '/'), value)}" for name, value in settings.items()),
        f"[ ! -r /etc/fstab ] || ! grep -q '^{swap.MARK}' /etc/fstab || left '/etc/fstab holds lines that we switched off'" if was["swap"] else "",
    ) + _TAIL  # fmt: skip


def _absent(was: Before) -> list[str]:
    return [name for name, before in was.items() if before is None]


def _processes(binaries: Sequence[str]) -> str:
    """A program of ours that runs although its file is gone shows as deleted."""
    exes = [pattern for path in binaries for pattern in (path, f"{path} (deleted)")]
    return _PROCESSES.format(exes=" -o ".join(f"-lname {sh(pattern)}" for pattern in exes) or "-false")


def _network(before: Sequence[str]) -> str:
    ours = [f"{family} {name}" for name in traces.NFT_TABLES for family in ("ip", "ip6")]
    tables = [*(table for table in ours if table not in before), *([] if "inet kbootstrap" in before else ["inet kbootstrap"])]
    return _NETWORK.format(
        links=sh(BRIDGE, VXLAN_DEVICE, traces.IPVS_LINK),
        protocol=ROUTE_PROTOCOL,
        namespaces=traces.NAMESPACES,
        prefix=traces.NAMESPACE_PREFIX,
        tables=sh("|".join(tables)),
        chains=traces.IPTABLES_PREFIX,
        ufw=UFW_RULES,
        policies=POLICIES,
    ).rstrip("\n")


def _files(files: Before) -> Iterator[str]:
    if gone := _absent(files):
        yield "gone " + sh(*gone)
    yield from (f"same {sh(path, str(copy))}" for path, copy in files.items() if copy is not None)


def _data(data: Before) -> Iterator[str]:
    if gone := _absent(data):
        yield "gone " + sh(*gone)
    for path, before in data.items():
        if before is not None:
            yield f"find -H {sh(path)} -mindepth 1 -maxdepth 1 {text.but(before['names'])} 2>/dev/null | each file"


def _directories(directories: Before) -> Iterator[str]:
    """One that holds what others have put there stays, which the step that could not remove it has said."""
    for path, before in directories.items():
        if before is None:
            yield f'[ ! -d {sh(path)} ] || [ -n "$(ls -A -- {sh(path)})" ] || left {sh(f"directory {path}")}'
        elif isinstance(before, str):
            yield f"same {sh(path, before)}"


def _units(units: Before) -> Iterator[str]:
    if gone := _absent(units):
        yield f'for u in {sh(*gone)}; do [ "$(systemctl show -p LoadState --value "$u")" = not-found ] || left "unit $u"; done'
        yield f"find {paths.UNITS} \\( {' -o '.join(f'-name {sh(unit)}' for unit in gone)} \\) 2>/dev/null | each file"
    for unit, before in units.items():
        if before is not None and before.get("active"):
            was = f"case $(systemctl show -p ActiveState --value {sh(unit)}) in active|activating|reloading) ;;"
            yield f"{was} *) left {sh(f'{unit} ran before, and does not run')} ;; esac"
