"""Memory: a master runs etcd, an API server and two controllers, a worker at least kubelet, containerd and a pod."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.plan.checks.finding import Context, Finding

REFUSED_MB = {True: 900, False: 450}  # is it a master?
WARNED_MB = {True: 1700, False: 900}  # a master's as kubeadm wants it


def check(context: Context) -> Iterator[Finding]:
    for seen in context.hosts():
        master, found_mb = seen.host.is_master, seen.facts.memory_kb // 1024
        if 0 < found_mb < WARNED_MB[master]:
            refused = found_mb < REFUSED_MB[master]
            what = f"has {found_mb} MB of memory, a {'master' if master else 'worker'} wants {WARNED_MB[master]}"
            evidence = f"/proc/meminfo: MemTotal {seen.facts.memory_kb} kB"
            yield Finding(check="memory", host=seen.name, what=what, hint="Give the machine more memory.", warning=not refused, evidence=evidence)
