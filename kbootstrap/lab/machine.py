"""The machine under the labs: what it lacks, what it needs of the inventory, and which of its settings labs change.

Kernel settings that are not namespaced belong to the whole machine. The first lab records them before it starts, the last one to go puts
them back.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kbootstrap.errors import CommandError, KbError
from kbootstrap.lab import cgroup, network, record
from kbootstrap.lab.command import run

TOOLS = {
    "systemd-nspawn": "systemd-container",
    "debootstrap": "debootstrap",
    "ssh": "openssh-client",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setpriv": "util-linux",
}
KUBELETS = (  # kubelet sets these on the machine whatever its inventory says
    "kernel.panic",
    "kernel.panic_on_oops",
    "vm.overcommit_memory",
    "vm.panic_on_oom",
    "kernel.keys.root_maxkeys",
    "kernel.keys.root_maxbytes",
)
SETTINGS = (*KUBELETS, "fs.inotify.max_user_instances")  # the last is the lab's own: every systemd takes a dozen
KERNEL = Path("/proc/sys")
INOTIFY_INSTANCES = 2048
_CAP_SYS_RESOURCE = 24
_NSPAWN = Path("/run/systemd/nspawn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What lab hosts inherit from this machine."""

    systemd: bool  # PID 1 is systemd: nspawn can have a scope
    cgroup_v1: bool
    sys_resource: bool  # root may lower oom_score_adj
    swap: bool


def look() -> Machine:
    """This machine."""
    capabilities = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff:"))
    return Machine(
        systemd=Path("/run/systemd/system").is_dir(),
        cgroup_v1=cgroup.has_v1(),
        sys_resource=bool(int(capabilities.split()[1], 16) >> _CAP_SYS_RESOURCE & 1),
        swap=len(Path("/proc/swaps").read_text().splitlines()) > 1,
    )


def equip(say: Callable[[str], None]) -> None:
    """Install the Debian packages that the lab misses, when root; else KbError with the command that does."""
    missing = sorted({package for tool, package in TOOLS.items() if not shutil.which(tool)})
    if os.geteuid():
        extra = f" and {' '.join(_apt(missing))}" if missing else ""
        raise KbError(f"lab hosts need root (namespaces, mounts){extra}", hint="Run the same command under sudo.")
    install(missing, say)


def install(packages: Sequence[str], say: Callable[[str], None]) -> None:
    """Install Debian *packages* (none: do nothing), when root; else KbError with the command that does."""
    if not packages:
        return
    if not shutil.which("apt-get"):
        raise KbError(f"missing on this machine: {', '.join(packages)}", hint="Install them with this system's package manager.")
    command = _apt(packages)
    if os.geteuid():
        raise KbError(f"missing on this machine: {', '.join(packages)}", hint=f"Run: sudo {' '.join(command)}")
    say(f"installing {' '.join(packages)}: {' '.join(command)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        run(command, timeout_s=600, env=environment)
    except CommandError:  # lists of packages older than the archive, or none yet
        run(["apt-get", "update"], timeout_s=600, env=environment)
        run(command, timeout_s=900, env=environment)


def _apt(packages: Sequence[str]) -> list[str]:
    return ["apt-get", "install", "-y", "--no-install-recommends", *packages]


def _path(setting: str) -> Path:
    return KERNEL / setting.replace(".", "/")


def _before() -> Path:
    return record.cache() / "machine.json"


def remember() -> None:
    """Record the settings, unless an earlier lab did. To be called under the labs' lock, before anything is changed."""
    if not _before().exists():
        values = {setting: _path(setting).read_text().strip() for setting in SETTINGS if _path(setting).exists()}
        record.write_json(_before(), {"settings": values, "namespaces": network.is_mounted()})


def prepare() -> None:
    """Raise what several systemds on one kernel need."""
    setting = _path("fs.inotify.max_user_instances")
    if int(setting.read_text()) < INOTIFY_INSTANCES:
        setting.write_text(str(INOTIFY_INSTANCES))


def changed() -> Iterator[tuple[str, str, str]]:
    """Settings that differ from the record: name, before, now."""
    if _before().exists():
        for setting, before in json.loads(_before().read_text())["settings"].items():
            if (now := _path(setting).read_text().strip()) != before:
                yield setting, before, now


def restore() -> Iterator[str]:
    """Put the settings back; yields what was done. To be called under the labs' lock when no lab is left."""
    for setting, before, now in tuple(changed()):
        _path(setting).write_text(before)
        yield f"{setting}: {now} back to {before}"
    if not _before().exists():
        return
    if not json.loads(_before().read_text())["namespaces"]:
        network.unmount()
    for folder in (_NSPAWN / "propagate", _NSPAWN):  # nspawn makes them and leaves them
        with suppress(OSError):  # not there, or in use by others
            folder.rmdir()
    _before().unlink()
