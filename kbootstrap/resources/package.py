"""Kind ``package``: what only the distribution ships well (haproxy)."""

from __future__ import annotations

from collections.abc import Sequence

from kbootstrap.model.plan import Action
from kbootstrap.model.resource import Package
from kbootstrap.resources.difference import Difference, Order, lines, sh

_PROBE = """\
for n in {names}; do
  if command -v dpkg-query >/dev/null; then
    [ "$(dpkg-query -W -f '${{db:Status-Status}}' "$n" 2>/dev/null)" != installed ] || echo "$n"
  elif rpm -q "$n" >/dev/null 2>&1; then echo "$n"; fi
done
"""

# A fresh machine's own updates may hold the lock of the package manager: bounded waiting, never removal of the lock.
_INSTALL = """\
if command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends {name} ||
    {{ apt-get -o DPkg::Lock::Timeout=120 update && apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends {name}; }}
elif command -v dnf >/dev/null; then dnf install -y {name}
else echo 'neither apt-get nor dnf here; install {name} yourself'; exit 1; fi
"""


def probe(names: Sequence[str]) -> str:
    return _PROBE.format(names=sh(*names))


def parse(output: str) -> dict[str, bool]:
    return dict.fromkeys(output.split(), True)


def diff(want: Package, seen: bool | None) -> Difference | None:
    del want
    return None if seen else Difference(action=Action.CREATE, reason="not installed")


def commands(want: Package, difference: Difference) -> Order:
    del difference
    return Order(text=lines(_INSTALL.format(name=sh(want.name))), deadline_s=600)
