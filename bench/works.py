"""The works: what shall be on every host, as data. How a tool brings it there is its contestant's business."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from jinja2 import Environment

from bench.servers import PROJECT
from kbootstrap.catalog import paths
from kbootstrap.render.env import Renderer
from kbootstrap.rolebook import parse

NAME: Final = "@name@"  # in a text: the host's name, in whatever words the tool's templates have for it
BIG: Final = 60_000_000
FIRST, SECOND, CHANGED = "first", "second", "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A rendered file; *text* is jinja2's with ``@name@`` in it."""

    path: str
    text: str
    mode: int = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A binary of *size* bytes that do not compress to nothing; *version* makes others of them."""

    path: str
    size: int
    version: int = 1
    mode: int = 0o755

    def content(self) -> bytes:
        return _bytes(self.size, self.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """*runs* are its rows: the first on clean hosts, the second right behind it, and one after a change."""

    id: str
    title: str
    directories: tuple[tuple[str, int], ...] = ()
    templates: tuple[Template, ...] = ()
    program: Program | None = None
    facts: Mapping[str, str] | None = None  # name → sh text that prints it
    runs: tuple[str, ...] = (FIRST, SECOND)

    def changed(self) -> Work:
        """The same with another binary."""
        return replace(self, program=replace(self.program, version=self.program.version + 1)) if self.program else self

    def contents(self, name: str) -> dict[str, tuple[bytes, int]]:
        """Path → (content, mode) of every file that the host *name* shall have."""
        environment = Environment(keep_trailing_newline=True, autoescape=False)  # noqa: S701  no HTML
        files = {t.path: (environment.from_string(t.text.replace(NAME, name)).render().encode(), t.mode) for t in self.templates}
        return files | ({self.program.path: (self.program.content(), self.program.mode)} if self.program else {})


@cache
def _bytes(size: int, version: int) -> bytes:
    """Half of it compresses well, as machine code does; the same at every call."""
    block = b"".join(hashlib.sha256(f"{version} {number}".encode()).digest() + bytes(32) for number in range(16384))
    parts = (hashlib.sha256(f"{version} part {number}".encode()).digest() + block for number in range(size // len(block) + 1))
    return b"".join(parts)[:size]


def files() -> Work:
    """W1."""
    lines = "{% for number in range(12) %}setting{{ number }} = {{ number * 7 }} of " + NAME + "; {% endfor %}.\n"
    texts = [Template(path=f"/opt/bench/etc/service{n:02d}.conf", text=f"# {n} on {NAME}\n{lines * 4}") for n in range(20)]
    return Work(id="W1", title="20 rendered files", directories=(("/opt/bench", 0o755), ("/opt/bench/etc", 0o755)), templates=tuple(texts))


def binary() -> Work:
    """W2."""
    program = Program(path="/opt/bench/bin/daemon", size=BIG)
    folders = (("/opt/bench", 0o755), ("/opt/bench/bin", 0o755))
    return Work(id="W2", title="a binary of 60 MB", directories=folders, program=program, runs=(FIRST, SECOND, CHANGED))


FACTS: Final[Mapping[str, str]] = {
    "hostname": "cat /etc/hostname",
    "kernel": "uname -r",
    "arch": "uname -m",
    "os": ". /etc/os-release; echo $ID",
    "os_version": ". /etc/os-release; echo $VERSION_ID",
    "machine_id": "cat /etc/machine-id",
    "boot_id": "cat /proc/sys/kernel/random/boot_id",
    "cpus": "nproc",
    "memory": "grep MemTotal /proc/meminfo",
    "swap": "grep SwapTotal /proc/meminfo",
    "load": "cat /proc/loadavg",
    "uptime": "cat /proc/uptime",
    "root_size": "df -Pk / | tail -n 1",
    "inodes": "df -Pi / | tail -n 1",
    "clock": "date +%s",
    "zone": "date +%Z",
    "user": "id -un",
    "home": "echo $HOME",
    "shell": "readlink -f /bin/sh",
    "python": "command -v python3",
}


def facts() -> Work:
    """W3."""
    return Work(id="W3", title="20 facts", facts=FACTS, runs=(FIRST,))


def roles() -> Work:
    """W4: what ``roles/host`` and ``roles/containerd`` lay on a disk. Their services, modules and kernel settings need machines of their own."""
    defined = [parse.role((PROJECT / "roles" / name / "role.yml").read_text(), name) for name in ("host", "containerd")]
    renderer = Renderer((PROJECT / "templates",))
    sees = {"containerd": {"sandbox": "registry.k8s.io/pause:3.10", "restrict_oom_score_adj": False, "systemd_cgroup": True}}
    texts = {f.path: renderer.render(f.template, sees) for role in defined for f in role.files}
    texts[paths.sysctl_d("host")] = "".join(f"{key} = {value}\n" for key, value in defined[0].sysctl)
    texts[paths.modules_load("host")] = "".join(f"{name}\n" for name in defined[0].modules)
    folders = {d.path: d.mode for role in defined for d in role.directories} | {"/etc/sysctl.d": 0o755, "/etc/modules-load.d": 0o755}
    marked = tuple(Template(path=path, text=f"# {NAME}\n{text}") for path, text in texts.items())
    return Work(id="W4", title="files of the roles host and containerd", directories=tuple(folders.items()), templates=marked)


def own() -> Work:
    """W5."""
    folders = tuple((path, 0o755) for path in ("/opt/shop", "/opt/shop/etc", "/opt/shop/bin"))
    texts = tuple(Template(path=f"/opt/shop/etc/{part}.ini", text=f"[{part}]\nhost = {NAME}\n") for part in ("web", "mail", "cache", "queue", "log"))
    program = Program(path="/opt/shop/bin/shop", size=1_000_000)
    return Work(id="W5", title="a user's own role", directories=folders, templates=texts, program=program, runs=(FIRST, SECOND, CHANGED))


WORKS: Final[Mapping[str, Callable[[], Work]]] = {"W1": files, "W2": binary, "W3": facts, "W4": roles, "W5": own}
