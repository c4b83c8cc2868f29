"""What was on a host before us and what daemons will change by themselves; read until the host has a ledger, which then keeps it for good."""

from __future__ import annotations

from typing import Any, Final

from kbootstrap.catalog import paths, traces
from kbootstrap.model.desired import Desired
from kbootstrap.resources.difference import sh

_SYS: Final = "/proc/sys/"

_PROBE = """\
if [ ! -s {ledger} ]; then
for d in {directories}; do
  if [ -d "$d" ]; then echo "directory $(stat -L -c '%a %U:%G' -- "$d") $d"; ls -A1 -- "$d" | sed 's/^/holds /'
  elif [ ! -e "$d" ]; then echo "none $d"; fi
done
for s in {sysctls}; do [ ! -r "$s" ] || echo "sysctl $s $(cat "$s")"; done
getent group {users} | sed 's/:.*//; s/^/group /'
if command -v nft >/dev/null; then
  nft list tables | sed 's/^table /nft /'
  nft -s list chains | awk '/^table/ {{ t = $2 " " $3 }} /^\t*chain/ && t ~ /^ip6? ({iptables})$/ {{ print "nft", t, $2 }}'
fi
fi
"""


def probe(desired: Desired, host: str) -> str:
    """sh text that tells nothing on a host that has a ledger: what it would see now are our own traces."""
    mine = desired.names(host)
    directories = [path for path in traces.FILLED if path in mine.get("directory", ())] + list(traces.MADE)
    users = sh(*mine.get("user", ())) or "''"
    iptables = "|".join(traces.IPTABLES_TABLES)
    return _PROBE.format(ledger=paths.LEDGER, directories=sh(*directories), sysctls=sh(*map(_file, traces.SYSCTLS)), users=users, iptables=iptables)


def _file(sysctl: str) -> str:
    return _SYS + sysctl.replace(".", "/")


def _name(file: str) -> str:
    return file.removeprefix(_SYS).replace("/", ".")


def parse(output: str) -> dict[str, dict[str, Any]]:
    """Ledger entries: ``data/<path>`` (before: None, or mode, owner and the names in it), ``sysctl/<name>``, ``nft/<table or chain>``,
    ``group/<name>``."""
    found: dict[str, dict[str, Any]] = {}
    names: list[str] = []
    for line in output.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "holds":
            names.append(rest)
        elif kind == "none":
            found[f"data/{rest}"] = {"kind": "data", "before": None}
        elif kind == "directory":
            mode, owner, path = rest.split(" ", 2)
            names = []
            found[f"data/{path}"] = {"kind": "data", "before": {"mode": mode.zfill(4), "owner": owner, "names": names}}
        elif kind == "sysctl":
            file, _, value = rest.partition(" ")
            found[f"sysctl/{_name(file)}"] = {"kind": "sysctl", "before": " ".join(value.split())}
        elif kind in ("nft", "group"):
            found[f"{kind}/{rest}"] = {"kind": kind, "before": True}
    return found
