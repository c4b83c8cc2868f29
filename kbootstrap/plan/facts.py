"""The facts of a host: one probe, one parser."""

from __future__ import annotations

import re

from kbootstrap.catalog import paths
from kbootstrap.model.facts import Facts

# Every process that the host need not start is a millisecond less at every read: the shell reads small files itself.
PROBE = f"""\
echo "clock=$(date +%s.%N)"
one() {{ [ ! -r "$2" ] || {{ v=; read -r v <"$2" || :; echo "$1=$v"; }}; }}
one hostname /proc/sys/kernel/hostname
one kernel /proc/sys/kernel/osrelease
one machine_id /etc/machine-id
one boot_id /proc/sys/kernel/random/boot_id
echo "arch=$(uname -m)"
[ ! -r /etc/os-release ] || ( . /etc/os-release; echo "os=${{ID:-}} ${{VERSION_ID:-}}" )
[ ! -d /run/systemd/system ] || {{ v=$(systemctl --version); v=${{v#* }}; v=${{v%%[!0-9]*}}; echo "systemd=$v"; }}
echo "cpus=$(nproc)"
while read -r k v rest; do [ "$k" != MemTotal: ] || {{ echo "memory_kb=$v"; break; }}; done </proc/meminfo
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then echo cgroup=v2; else echo cgroup=v1; fi
{{ read -r v; ! read -r v || echo swap=1; }} </proc/swaps
for v in zstd gzip; do ! command -v $v >/dev/null || echo "has_$v=1"; done
[ ! -r {paths.CA} ] || {{ v=$(sha256sum <{paths.CA}); echo "ca_sha256=${{v%% *}}"; }}
ip -o -4 addr show
"""

_ADDRESS = re.compile(r"^\d+: \S+ +inet (\d\S+)", re.M)
_ARCH = {"x86_64": "amd64", "aarch64": "arm64"}


def parse(output: str, *, now_s: float) -> Facts:
    """Facts from the probe's answer; *now_s* is the operator's time at the middle of the read, seconds since the epoch."""
    one = dict(line.partition("=")[::2] for line in output.splitlines() if "=" in line)
    return Facts(
        hostname=one.get("hostname", ""),
        arch=_ARCH.get(one.get("arch", ""), one.get("arch", "")),
        os=one.get("os", ""),
        kernel=one.get("kernel", ""),
        systemd=int(one.get("systemd") or 0),
        cpus=int(one.get("cpus") or 0),
        memory_kb=int(one.get("memory_kb") or 0),
        cgroup=one.get("cgroup", ""),
        machine_id=one.get("machine_id", ""),
        boot_id=one.get("boot_id", ""),
        clock_s=float(one.get("clock") or now_s) - now_s,
        addresses=tuple(_ADDRESS.findall(output)),
        swap=one.get("swap") == "1",
        unpacks=tuple(program for program in ("zstd", "gzip") if f"has_{program}" in one),
        ca_sha256=one.get("ca_sha256", ""),
    )
