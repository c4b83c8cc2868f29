"""The whole story on one machine: ``demo`` (practice hosts, binaries, cluster) and ``demo.down``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from invoke.context import Context
from invoke.tasks import task

from kbootstrap.tasks._common import reported, say

_NAME = "the lab's name, and its cluster's"
# Measured once, on such hosts on two idle cores: docs/MAP.md, «Facts measured».
_FLOOR = "for comparison, idle: plain scripts, everything at once, 14.5 s to five Ready nodes (the floor); kubeadm by an expert's script 81 s"
_GO_ON = """
It is yours:
  kubectl --kubeconfig inventory/{name}/admin.conf get pods -A
  invoke cluster.status --cluster {name}
  invoke cluster.up --cluster {name}       changes nothing now; edit inventory/{name}/cluster.yml and run it again
  invoke lab.ssh m1 --name {name}
  invoke demo.down --name {name}           removes the hosts and the cluster"""


@task(
    auto_shortflags=False,
    default=True,
    help={"masters": "how many masters", "workers": "how many workers", "name": _NAME},
)
@reported
def up(context: Context, masters: int = 3, workers: int = 2, name: str = "lab") -> None:
    """Make practice hosts on this machine (root only) and a real cluster on them, over SSH; asks nothing."""
    from kbootstrap import lab
    from kbootstrap.tasks import _demo, _lab, cluster

    _lab.refuse_size(masters)
    parts: dict[str, float] = {}
    with _timed(parts, "hosts"):
        hosts = lab.up(name=name, masters=masters, workers=workers, say=say)
    with _timed(parts, "binaries"):
        _demo.binaries(name)
    with _timed(parts, "cluster"):
        cluster.up(context, cluster=name, yes=True)
    say("")
    say(_demo.nodes(hosts))
    say("")
    say(f"{' + '.join(f'{part} {seconds:.1f} s' for part, seconds in parts.items())} = {sum(parts.values()):.1f} s")
    if (masters, workers) == (3, 2):
        say(_FLOOR)
    say(_GO_ON.format(name=name))


@task(auto_shortflags=False, help={"name": _NAME})
@reported
def down(_: Context, name: str = "lab") -> None:
    """Remove the practice hosts, and the cluster with them; downloaded and built binaries stay in the cache."""
    from kbootstrap import lab
    from kbootstrap.tasks import _demo

    lab.down(name, say=say)
    for line in _demo.left(name):
        say(line)


@contextmanager
def _timed(parts: dict[str, float], part: str) -> Iterator[None]:
    say(f"── {part}")
    began = time.monotonic()
    yield
    parts[part] = time.monotonic() - began
