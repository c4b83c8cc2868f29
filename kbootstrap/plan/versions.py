"""Which version of what runs on a host: asked of the very process that runs, else of the program that lies there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from kbootstrap.catalog import paths, releases
from kbootstrap.resources.difference import sh

APISERVER: Final = "kube-apiserver"
MASTERS: Final = (APISERVER, "kube-controller-manager", "kube-scheduler")
KUBERNETES: Final = (*MASTERS, "kubelet", "kube-proxy")
OTHERS: Final = ("etcd", "containerd")

Versions = Mapping[str, Mapping[str, str]]  # host → program → version

# A killed run may have left a newer file in the place of the one that runs: the process is asked through its own link to what it was started from.
_PROBE: Final = """\
for b in {programs}; do (
  p=$(systemctl show -p MainPID --value -- "$b.service")
  f=/proc/$p/exe
  [ "${{p:-0}}" != 0 ] || f={bin}/$b
  [ ! -x "$f" ] || echo "$b $(timeout 10 "$f" --version 2>/dev/null | head -n 1)"
) & done
wait
"""
_LINE: Final = re.compile(r"(\S+) .*?(\d+\.\d+\.\d+(?:-[0-9A-Za-z.]+)?)")


def probe(programs: Iterable[str] = (*KUBERNETES, *OTHERS)) -> str:
    """sh text that prints a line for each of *programs* that runs or lies on the host."""
    return _PROBE.format(programs=sh(*programs), bin=paths.BIN)


def parse(output: str) -> dict[str, str]:
    """Program → version."""
    return {match[1]: match[2] for line in output.splitlines() if (match := _LINE.match(line))}


def order(version: str) -> tuple[tuple[int, ...], bool, str]:
    """A key by which versions sort: 1.37.0-rc.1 comes before 1.37.0."""
    numbers, _, early = version.partition("-")
    return tuple(int(part) for part in numbers.split(".")), not early, early


def minor(version: str) -> int:
    """36 of 1.36.3."""
    return int(releases.minor_of(version).split(".")[1])


def of(seen: Versions, programs: Iterable[str] = KUBERNETES) -> list[str]:
    """Every version that any host has of *programs*, oldest first."""
    wanted = set(programs)
    return sorted({version for mine in seen.values() for name, version in mine.items() if name in wanted}, key=order)
