"""The base image of all hosts: a Debian made once by debootstrap, kept in the cache, never changed after.

The folder's name holds a hash of everything that decides its content, so another package list or recipe is another image beside it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from kbootstrap.errors import CommandError
from kbootstrap.lab import apt, process
from kbootstrap.lab.command import run

SUITE = "bookworm"  # systemd 252: newer ones (≥ 256) do not boot on the old cgroup layout that some machines have
PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "openssh-server", "iptables", "nftables", "conntrack", "iproute2", "kmod", "procps", "sudo", "haproxy",
    "ca-certificates", "ethtool", "socat", "mount", "iputils-ping",
)  # fmt: skip
_SYSTEM = "etc/systemd/system"
# Nothing that a cluster needs: periodic work would disturb measurements, and consoles have nobody in front of them.
MASKED = (
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer",
    "systemd-tmpfiles-clean.timer", "systemd-pstore.service", "console-getty.service", "getty.target", "systemd-firstboot.service",
    "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service",
)  # fmt: skip
DISABLED = (f"{_SYSTEM}/multi-user.target.wants/haproxy.service",)  # installed for the API endpoint, which has a unit of its own
FILES = {
    # nspawn mounts the controllers of cgroup v1 read-only; a plain remount says busy, a remount of the bind does not
    f"{_SYSTEM}/cgroup-controllers.service": """[Unit]
Description=Make the cgroup v1 controllers writable
DefaultDependencies=no
Before=sysinit.target
ConditionPathIsDirectory=/sys/fs/cgroup/memory

[Service]
Type=oneshot
ExecStart=/bin/sh -ec 'for d in /sys/fs/cgroup/*; do if mountpoint -q "$d"; then mount -o remount,bind,rw "$d"; fi; done'
""",
    # every host is handed the machine's /dev/kmsg because kubelet watches it; its journal is no place for the machine's messages
    "etc/systemd/journald.conf.d/lab.conf": "[Journal]\nReadKMsg=no\nSystemMaxUse=64M\nRuntimeMaxUse=32M\n",
    "etc/ssh/sshd_config.d/lab.conf": "HostKey /etc/ssh/ssh_host_ed25519_key\nUseDNS no\n",
}
LINKS = {f"{_SYSTEM}/sysinit.target.wants/cgroup-controllers.service": f"/{_SYSTEM}/cgroup-controllers.service"}
EMPTY = ("var/cache/apt", "var/lib/apt/lists", "var/log/apt")


def key(packages: tuple[str, ...] = ()) -> str:
    """The name of the image with *packages* beside the usual ones."""
    recipe = repr((SUITE, sorted(PACKAGES), MASKED, DISABLED, sorted(FILES.items()), sorted(LINKS.items()), EMPTY))
    name = f"base-{SUITE}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    more = sorted({*packages} - {*PACKAGES})
    return f"{name}-{hashlib.sha256(repr((more, _MASKED_ABOVE)).encode()).hexdigest()[:8]}" if more else name


def ready(cache: Path, *, packages: tuple[str, ...] = (), mirror: str = "", say: Callable[[str], None]) -> Path:
    """The image's root folder, made now if need be (about 45 s; *packages* on top of that 20 s). A half-made one is never taken for a whole one."""
    image = cache / key(packages)
    if image.is_dir():
        return image
    below = ready(cache, mirror=mirror, say=say) if packages else None
    cache.mkdir(parents=True, exist_ok=True)
    partial = cache / f"{image.name}.partial"
    with FileLock(_lock(partial)):
        if image.is_dir():
            return image
        _discard(partial)
        say(f"base image: Debian {' with '.join((SUITE, *packages))}, made once, kept in {image}")
        if below is None:
            _debootstrap(partial, tuple(sorted(PACKAGES)), mirror)
        else:
            _add(below, partial, packages)
        finish(partial)
        partial.rename(image)
    return image


def clean(cache: Path) -> None:
    """Remove images that nobody is making any more: their maker was killed."""
    for partial in cache.glob("*.partial"):
        with suppress(Timeout), FileLock(_lock(partial), timeout=0):
            _discard(partial)


def _discard(partial: Path) -> None:
    """Remove a half-made image, once those who were making it are gone."""
    process.kill(lambda: process.using(partial))
    if partial.exists():
        shutil.rmtree(partial)


def _lock(partial: Path) -> Path:
    return partial.with_suffix(".lock")


def _debootstrap(root: Path, packages: tuple[str, ...], mirror: str) -> None:
    """Bootstrap into *root*, in namespaces that vanish with their last process; the parent's death ends that (pdeathsig)."""
    source = apt.mirror(apt.sources(), SUITE) if not mirror else apt.Source(uri=mirror, suites=(SUITE,), components=("main",))
    if source is None:
        raise CommandError(f"no apt source of this machine has Debian's {SUITE}", hint="Name a mirror: invoke lab.up --mirror URL")
    fence = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    keyring = [f"--keyring={source.keyring}"] if source.keyring and Path(source.keyring).is_file() else []
    argv = [*fence, "debootstrap", "--variant=minbase", *keyring, f"--include={','.join(packages)}", SUITE, str(root), source.uri]
    run(argv, timeout_s=1800, env={**os.environ, **_proxy(), "DEBIAN_FRONTEND": "noninteractive"})


def _add(below: Path, root: Path, packages: tuple[str, ...]) -> None:
    """A copy of the image *below* with more packages, by its own apt; no service starts in it, as no systemd runs there."""
    run(["cp", "-a", "--reflink=auto", str(below), str(root)], timeout_s=600)
    shutil.copyfile("/etc/resolv.conf", root / "etc/resolv.conf")
    install = f"apt-get update -q && apt-get install -q -y --no-install-recommends {' '.join(packages)}"
    fence = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", f"--root={root}", "--mount-proc"]
    for unit in _MASKED_ABOVE:
        _link(root / _SYSTEM / unit, "/dev/null")
    run([*fence, "sh", "-ec", install], timeout_s=900, env={"PATH": _PATH, "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive", **_proxy()})


# libpam-systemd comes with many packages; the user managers that it starts do not end in cgroups of the first version, and logins wait for that
_MASKED_ABOVE = ("user@.service",)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _proxy() -> dict[str, str]:
    """apt's proxy for debootstrap's wget, which reads only the environment."""
    value = run(["sh", "-c", 'eval $(apt-config shell p Acquire::http::Proxy); printf %s "$p"']).strip()
    return {"http_proxy": value, "https_proxy": value} if value and value != "DIRECT" else {}


def finish(root: Path) -> None:
    """Make the bootstrapped *root* a base for many hosts: no identity, no periodic work, ready to boot without first-boot jobs."""
    for key_file in root.glob("etc/ssh/ssh_host_*"):
        key_file.unlink()
    (root / "etc/machine-id").write_text("")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    for folder in EMPTY:
        for child in (root / folder).iterdir():
            shutil.rmtree(child) if child.is_dir() else child.unlink()
    for path, content in FILES.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
    for unit in MASKED:
        _link(root / _SYSTEM / unit, "/dev/null")
    for path, to in LINKS.items():
        _link(root / path, to)
    for path in DISABLED:
        (root / path).unlink(missing_ok=True)
    for stamp in ("etc/.updated", "var/.updated"):  # newer than /usr: ConditionNeedsUpdate= jobs have nothing to do
        (root / stamp).write_text("")
    root.chmod(stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)


def _link(path: Path, to: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(to)
