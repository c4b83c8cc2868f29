"""The life of one host: boot, power off, crash, power cut, and back to bare.

A host's root is an overlay of its own ``upper`` layer on the base image, mounted in a mount namespace that vanishes with the host, so no
mount of it is ever left on the machine. ``/var/lib`` is a plain directory: containerd cannot put an overlay on an overlay, and etcd and
kubelet are faster without. Both survive every way of ending a host but ``bare``. A host that reboots itself stays off until ``boot``,
which gives it a fresh network as a real boot would.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from kbootstrap.catalog.ports import SSH
from kbootstrap.errors import CommandError
from kbootstrap.lab import cgroup, machine, network, process
from kbootstrap.lab.command import run, tail
from kbootstrap.lab.value import LabHost

# Enter the cgroups, the network namespace (nspawn mounts /sys before it enters by itself, and would show the machine's cards), a mount
# namespace with the overlay, then nspawn. The label stands in the argv from the first moment.
_LAUNCH = """
root=$1 options=$2 net=$3; shift 3
while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit; shift; done; shift
exec nsenter --net="$net" unshare --mount --propagation slave \\
  sh -c 'mount -t overlay -o "$2" kb-lab "$1" || exit; shift 2; exec "$@"' sh "$root" "$options" "$@"
"""
_PROPAGATE = Path("/run/systemd/nspawn/propagate")
_BOOT_TIMEOUT_S = 120.0
_WITHHELD = ("sys_time", "sys_module")  # capabilities: the clock and the kernel's modules are the machine's, not a host's to change
_TIMED_OUT = (124, 137)  # of timeout(1)
_INSIDE = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C"}


def pid(host: LabHost) -> int:
    """The machine's PID of the host's PID 1; 0 while the host is off."""
    return process.first(host.label)


def boot(host: LabHost, *, timeout_s: float = _BOOT_TIMEOUT_S) -> None:
    """Boot *host* on what its disk holds, with a fresh network, and wait until one can log in. Nothing happens if it runs."""
    if not pid(host):
        clear(host)
        if not (host.home / "upper").is_dir():
            blank(host)
        network.connect(host)
        _start(host)
    wait(host, timeout_s=timeout_s)


def _start(host: LabHost) -> None:
    here = machine.look()
    groups = cgroup.prepare(host.label, systemd=here.systemd)
    home = host.home
    layers = f"lowerdir={host.image},upperdir={home}/upper,workdir={home}/work"
    argv = [
        "/bin/sh",
        "-ec",
        _LAUNCH,
        "sh",
        f"{home}/root",
        layers,
        str(network.NAMESPACES / host.label),
        *map(str, groups),
        "--",
        *_nspawn(host, systemd=here.systemd),
    ]
    environment = {
        **os.environ,
        "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1",
        "SYSTEMD_SECCOMP": "0",
        "SYSTEMD_NSPAWN_LOCK": "0",  # the lab has a lock of its own, which leaves no file behind
        "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "0" if here.cgroup_v1 else "1",
    }
    console = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(home / "console.log"), console, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    os.posix_spawn(argv[0], argv, environment, file_actions=actions, setsid=True)


def _nspawn(host: LabHost, *, systemd: bool) -> list[str]:
    scope = ["--property=DevicePolicy=auto", "--property=TasksMax=infinity"] if systemd else ["--keep-unit"]
    withheld = ",".join(f"CAP_{name.upper()}" for name in _WITHHELD)
    return [
        "systemd-nspawn", "--quiet", "--settings=no", "--directory", f"{host.home}/root", f"--machine={host.label}", f"--hostname={host.name}",
        "--register=no", *scope, "--capability=all", f"--drop-capability={withheld}", "--bind=/dev/kmsg", f"--bind={host.home}/varlib:/var/lib",
        f"--network-namespace-path={network.NAMESPACES / host.label}", "--resolv-conf=off", "--timezone=off", "--link-journal=no", "--boot",
    ]  # fmt: skip


_START_S = 3.0  # before this a launcher may not have its arguments yet: between fork and exec it looks like its parent


def wait(host: LabHost, *, timeout_s: float = _BOOT_TIMEOUT_S) -> None:
    """Wait until sshd answers and users may log in. CommandError with the end of the console when the host died or time is up."""
    began = time.monotonic()
    deadline = began + timeout_s
    while not (answers(host) and _open_for_users(host)):
        dead = time.monotonic() > began + _START_S and not process.members(pattern(host))
        if dead or time.monotonic() > deadline:
            what = "ended while booting" if dead else f"did not answer on port {SSH.number} within {timeout_s:g} s"
            log = host.home / "console.log"
            raise CommandError(f"{what}; the end of {log}:\n{tail(log.read_text(errors='replace'))}", host=host.name)
        time.sleep(0.05)


def answers(host: LabHost, *, timeout_s: float = 1.0) -> bool:
    """Whether the host's sshd says who it is."""
    try:
        with socket.create_connection((str(host.address), SSH.number), timeout=timeout_s) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _open_for_users(host: LabHost) -> bool:
    """sshd answers before systemd removes /run/nologin, until when only root may log in."""
    return not Path(f"/proc/{pid(host)}/root/run/nologin").exists()


def power_off(host: LabHost, *, timeout_s: float = 60.0) -> None:
    """Shut *host* down cleanly, as its power button does."""
    if number := pid(host):
        process.send(number, signal.SIGRTMIN + 4)  # systemd's PID 1: start poweroff.target
        if not process.wait_end(pattern(host), timeout_s=timeout_s):
            raise CommandError(f"did not shut down within {timeout_s:g} s", host=host.name)
    clear(host)


def crash(host: LabHost) -> None:
    """SIGKILL the host's PID 1. The kernel still closes the host's connections politely: peers notice at once."""
    if number := pid(host):
        process.send(number, signal.SIGKILL)
        process.wait_end(pattern(host), timeout_s=5.0)
    clear(host, keep_network=True)


def power_cut(host: LabHost) -> None:
    """Cut the power: the cable goes dead first, so no peer hears of the end; then everything on the host dies."""
    network.unplug(host)
    crash(host)


def bare(host: LabHost) -> None:
    """The host as it was before its first boot: same name, address and host key, everything else gone. Running again on return."""
    crash(host)
    blank(host)
    boot(host)


def blank(host: LabHost) -> None:
    """Fill the disk of a host that is off: its seed on the base image."""
    for name in ("upper", "work", "varlib"):
        if (host.home / name).exists():
            shutil.rmtree(host.home / name)
    for name in ("work", "root"):
        (host.home / name).mkdir(parents=True, exist_ok=True)
    run(["cp", "-a", f"{host.image}/var/lib", f"{host.home}/varlib"])
    run(["cp", "-a", f"{host.home}/seed", f"{host.home}/upper.new"])
    (host.home / "upper.new").rename(host.home / "upper")  # last: a disk with an upper layer is whole


def clear(host: LabHost, *, keep_network: bool = False) -> None:
    """Remove what a host that was ended the hard way leaves on the machine, its disk aside."""
    process.kill(lambda: process.members(pattern(host)))
    cgroup.remove(pattern(host))
    with suppress(FileNotFoundError):
        (_PROPAGATE / host.label).rmdir()
    if not keep_network:
        network.remove(host.label)


def propagated() -> tuple[Path, ...]:
    """The folders through which nspawn hands mounts to running hosts; those of killed hosts stay behind."""
    return tuple(_PROPAGATE.iterdir()) if _PROPAGATE.is_dir() else ()


def pattern(host: LabHost) -> re.Pattern[str]:
    """What matches this host's label and no other's."""
    return re.compile(re.escape(host.label))


def execute(host: LabHost, argv: Sequence[str], *, text: str = "", timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run *argv* as root inside the host, without SSH; its exit code and output. CommandError if the host is off or time is up."""
    number = pid(host)
    if not number:
        raise CommandError("is off", host=host.name)
    # nsenter alone would carry root's full rights over the machine into the host; and the deadline is kept inside, because the
    # death of nsenter would leave the program running there
    fence = ["setpriv", f"--bounding-set={','.join(f'-{name}' for name in _WITHHELD)}"]
    enter = ["nsenter", f"--target={number}", "--all", "--root", "--wd", "--", "timeout", "--kill-after=2", f"{timeout_s:g}"]
    done = subprocess.run([*fence, *enter, *argv], input=text, capture_output=True, text=True, timeout=timeout_s + 10, env=_INSIDE, check=False)
    if done.returncode in _TIMED_OUT:
        raise CommandError(f"{argv[0]}: not done after {timeout_s:g} s", host=host.name)
    return done
