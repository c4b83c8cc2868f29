"""The facts of a host: one probe, one parser."""

from __future__ import annotations

from kbootstrap.catalog import paths
from kbootstrap.model.facts import Facts

PROBE = f"""\
echo "clock=$(date +%s.%N)"
echo "hostname=$(cat /proc/sys/kernel/hostname)"
echo "arch=$(uname -m)"
echo "kernel=$(uname -r)"
[ ! -r /etc/os-release ] || ( . /etc/os-release; echo "os=${{ID:-}} ${{VERSION_ID:-}}" )
[ ! -d /run/systemd/system ] || echo "systemd=$(systemctl --version | sed -n '1s/^systemd \\([0-9]*\\).*/\\1/p')"
echo "cpus=$(nproc)"
sed -n 's/^MemTotal: *\\([0-9]*\\) kB/memory_kb=\\1/p' /proc/meminfo
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then echo cgroup=v2; else echo cgroup=v1; fi
[ ! -r /etc/machine-id ] || echo "machine_id=$(cat /etc/machine-id)"
echo "boot_id=$(cat /proc/sys/kernel/random/boot_id)"
[ "$(wc -l < /proc/swaps)" -le 1 ] || echo swap=1
[ ! -r {paths.CA} ] || echo "ca_sha256=$(sha256sum < {paths.CA} | cut -d' ' -f1)"
ip -o -4 addr show | sed 's/.* inet \\([0-9./]*\\) .*/address=\\1/'
"""

_ARCH = {"x86_64": "amd64", "aarch64": "arm64"}


def parse(output: str, *, now_s: float) -> Facts:
    """Facts from the probe's answer; *now_s* is the operator's time at the middle of the read, seconds since the epoch."""
    pairs = [line.partition("=")[::2] for line in output.splitlines() if "=" in line]
    one = dict(pairs)
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
        addresses=tuple(value for key, value in pairs if key == "address"),
        swap=one.get("swap") == "1",
        ca_sha256=one.get("ca_sha256", ""),
    )
