"""Process 1 of the benchmark's hosts: ``python -m bench.farm <base>`` in mount and process namespaces of its own (``servers.py`` starts it).

Each host is a folder that sshd changes its root to: the machine's ``/usr`` read-only, everything else its own. Several hosts may share one sshd, a
port each (``Match LocalPort``). When this process ends, for whatever reason, the kernel ends every server and takes every mount back.

It speaks lines of JSON: a first one when all servers listen, and one for each line that it reads. At the end of its input it exits.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

SSHD: Final = "/usr/sbin/sshd"
ROOTS: Final = Path("/mnt")  # sshd wants a root below folders that only root can write to, which /tmp is not
TICKS: Final = os.sysconf("SC_CLK_TCK")
LISTEN_S: Final = 30.0
_BIND, _REC, _REMOUNT, _READ_ONLY = 4096, 16384, 32, 1
_NODES: Final = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
_OWN: Final = ("etc", "home", "opt", "proc", "dev/shm", "root", "run", "srv", "sys", "tmp", "usr", "var/lib", "var/log", "var/tmp", "var/cache")
_COPIED: Final = ("passwd", "group", "nsswitch.conf", "ld.so.cache", "os-release", "localtime", "login.defs", "alternatives")


def mount(source: str, target: Path, kind: str = "", flags: int = 0) -> None:
    """mount(2); OSError if the kernel refuses."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source.encode(), os.fsencode(target), kind.encode() or None, flags, None):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def furnish(root: Path, name: str) -> None:
    """Make *root* the root folder of the host *name*. Its /proc is read-only: no work can change a setting of the machine's kernel."""
    for folder in _OWN:
        (root / folder).mkdir(parents=True, exist_ok=True)
    for folder in ("tmp", "var/tmp", "dev/shm"):
        (root / folder).chmod(0o1777)
    (root / "root").chmod(0o700)
    for link in ("bin", "sbin", "lib", "lib32", "lib64"):
        if Path("/", link).is_symlink():
            (root / link).symlink_to(Path("/", link).readlink())
    for file in _COPIED:
        source = Path("/etc", file)
        if source.is_dir():
            shutil.copytree(source, root / "etc" / file, symlinks=True)
        elif source.exists():
            shutil.copy(source, root / "etc" / file)
    (root / "etc/hostname").write_text(f"{name}\n")
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost {name}\n")
    (root / "etc/machine-id").write_text(hashlib.sha256(name.encode()).hexdigest()[:32] + "\n")
    for node, (major, minor) in _NODES.items():
        os.mknod(root / "dev" / node, 0o666 | 0o020000, os.makedev(major, minor))
        (root / "dev" / node).chmod(0o666)
    for link, target in {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}.items():
        (root / "dev" / link).symlink_to(target if target.startswith("/") else f"/proc/self/{target}")
    mount("/usr", root / "usr", flags=_BIND)
    mount("", root / "usr", flags=_BIND | _REMOUNT | _READ_ONLY)
    mount("proc", root / "proc", "proc", _READ_ONLY)


def configuration(ports: Sequence[int], names: Sequence[str], base: Path, number: int) -> str:
    """The sshd_config of the server number *number*, which has a host at each of *ports*."""
    lines = [
        *(f"Port {port}" for port in ports),
        "ListenAddress 127.0.0.1",
        f"HostKey {base}/host_key",
        "AuthorizedKeysFile none",
        f"AuthorizedKeysCommand /bin/cat {base}/key.pub",
        "AuthorizedKeysCommandUser root",
        "PidFile none",
        "StrictModes no",
        "UsePAM no",
        "UseDNS no",
        "PasswordAuthentication no",
        "PermitRootLogin prohibit-password",
        "LogLevel VERBOSE",
        *(["MaxStartups 200"] if len(ports) > 1 else []),
        "Subsystem sftp internal-sftp",
    ]
    for port, name in zip(ports, names, strict=True):
        lines += [f"Match LocalPort {port}", f"  ChrootDirectory {ROOTS}/hosts/{name}"]
    path = base / f"sshd{number}.conf"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def start(base: Path, plan: Any) -> list[subprocess.Popen[bytes]]:
    """Furnish every host and start every server; returns once all listen."""
    found = []
    for number, group in enumerate(plan["servers"]):
        names, ports = [name for name, _ in group], [port for _, port in group]
        for name in names:
            furnish(ROOTS / "hosts" / name, name)
        conf, log = configuration(ports, names, base, number), base / f"sshd{number}.log"
        argv = [SSHD, "-D", "-f", conf, "-E", str(log)]
        found.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    until = time.monotonic() + LISTEN_S
    for number, group in enumerate(plan["servers"]):
        log = base / f"sshd{number}.log"
        while not log.exists() or log.read_text().count("Server listening") < len(group):
            if time.monotonic() > until or found[number].poll() is not None:
                raise SystemExit(f"sshd {number} does not listen: {log.read_text() if log.exists() else 'no log'}")
            time.sleep(0.005)
    return found


def spent() -> dict[str, Any]:
    """CPU seconds of everything that ever ran on the hosts, how many processes that were (a counter that wraps), and how many are left."""
    ticks, alive = 0, 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            fields = stat.read_text().rpartition(")")[2].split()
            mine = stat.parent.name == "1"
            ticks += sum(int(fields[index]) for index in ((13, 14) if mine else (11, 12, 13, 14)))
            alive += not mine
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)
    return {"cpu_s": ticks / TICKS, "processes": pid, "alive": alive}


def _reap(*_: object) -> None:
    """Orphans of the hosts become ours; once waited for, their CPU time is counted."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def main() -> None:
    base = Path(sys.argv[1])
    plan = json.loads((base / "plan.json").read_text())
    mount("", Path("/"), flags=1 << 18 | _REC)  # private: nothing of what follows is seen outside
    mount("proc", Path("/proc"), "proc")
    mount("tmpfs", Path("/run"), "tmpfs")
    Path("/run/sshd").mkdir(mode=0o755)
    mount(str(base), ROOTS, flags=_BIND)
    servers = start(base, plan)
    signal.signal(signal.SIGCHLD, _reap)
    say({"listening": len(servers), **spent()})
    for _ in sys.stdin:
        say(spent())


def say(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
