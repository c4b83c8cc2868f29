"""Kind ``module``: a kernel module counts as present when its effect is; many kernels have it built in, some have no /proc/modules."""

from __future__ import annotations

from collections.abc import Sequence

from kbootstrap.model.plan import Action
from kbootstrap.model.resource import Module
from kbootstrap.resources.difference import Difference, Order, lines, sh

_PROBE = """\
for m in {names}; do
  if [ -d "/sys/module/$m" ] || grep -qw "$m" /proc/filesystems; then echo "$m"
  elif [ "$m" = br_netfilter ] && [ -d /proc/sys/net/bridge ]; then echo "$m"
  elif [ "$m" = nf_conntrack ] && [ -e /proc/sys/net/netfilter/nf_conntrack_max ]; then echo "$m"; fi
done
"""


def probe(names: Sequence[str]) -> str:
    return _PROBE.format(names=sh(*names))


def parse(output: str) -> dict[str, bool]:
    return dict.fromkeys(output.split(), True)


def diff(want: Module, seen: bool | None) -> Difference | None:
    del want
    return None if seen else Difference(action=Action.RUN, reason="not loaded and not built in")


def commands(want: Module, difference: Difference) -> Order:
    del difference
    return Order(text=lines(sh("modprobe", want.name)))
