"""What was on a host before us and what daemons will change by themselves; read until it is in the host's ledger, which keeps it for good.

A host gets more to do later: what only a master has is asked when a worker becomes one.
"""

from __future__ import annotations

from typing import Any, Final

from kbootstrap.catalog import paths, traces
from kbootstrap.model.desired import Desired
from kbootstrap.resources.difference import sh

_SYS: Final = "/proc/sys/"

_PROBE = """\
ledger=; [ ! -s {ledger} ] || ledger=$(cat {ledger})
known() {{ for k; do case $ledger in *"\\"$k\\""*) return 0 ;; esac; done; return 1; }}
directory() {{
  if [ -d "$1" ]; then echo "directory $(stat -L -c '%a %U:%G' -- "$1") $1"; ls -A1 -- "$1" | sed 's/^/holds /'
  elif [ ! -e "$1" ]; then echo "none $1"; fi
}}
for d in {filled}; do known "data/$d" "$d" || directory "$d"; done
for u in {users}; do known "user/$u" "group/$u" || getent group "$u" | sed 's/:.*//; s/^/group /'; done
if [ -z "$ledger" ]; then
for d in {made}; do directory "$d"; done
for s in {sysctls}; do [ ! -r "$s" ] || echo "sysctl $s $(cat "$s")"; done
if command -v nft >/dev/null; then
  nft list tables | sed 's/^table /nft /'
  nft -s list chains | awk '/^table/ {{ t = $2 " " $3 }} /^\t*chain/ && t ~ /^ip6? ({iptables})$/ {{ print "nft", t, $2 }}'
fi
fi
"""


def probe(desired: Desired, host: str) -> str:
    """sh text that tells nothing of what the host's ledger knows: what it would see there now are our own traces."""
    mine = desired.names(host)
    return _PROBE.format(
        ledger=paths.LEDGER,
        filled=sh(*(path for path in traces.FILLED if path in mine.get("directory", ()))),
        made=sh(*traces.MADE),
        users=sh(*mine.get("user", ())),
        sysctls=sh(*map(_file, traces.SYSCTLS)),
        iptables="|".join(traces.IPTABLES_TABLES),
    )


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
