"""Resources: what a host shall have, as values.

A resource's identity (kind and name, the *key*) comes from the inventory and the roles alone, so every probe is known before the first
contact; only its content may depend on more. Each kind has its four pure functions in ``resources/<kind>.py``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, ClassVar

ROOT = "root:root"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Bytes too large for memory: a verified file on the operator's machine, addressed by its content."""

    sha256: str
    size: int
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """Base; *name* is a path for what lies in the file system, else a name."""

    kind: ClassVar[str] = ""
    is_path: ClassVar[bool] = False
    name: str

    @property
    def key(self) -> str:
        """The part of the id behind the host: ``/etc/x`` or ``kind/name``."""
        return self.name if self.is_path else f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory(Resource):
    """A directory with mode and owner (``user:group``)."""

    kind: ClassVar[str] = "directory"
    is_path: ClassVar[bool] = True
    mode: int = 0o755
    owner: str = ROOT


@dataclass(frozen=True, slots=True, kw_only=True)
class File(Resource):
    """A small file with its whole content; a secret's content is shown as a digest only."""

    kind: ClassVar[str] = "file"
    is_path: ClassVar[bool] = True
    content: bytes = field(repr=False)
    mode: int = 0o644
    owner: str = ROOT
    secret: bool = False

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary(Resource):
    """An executable, installed from a blob; hashed again on the host only when its stat changed."""

    kind: ClassVar[str] = "binary"
    is_path: ClassVar[bool] = True
    blob: Blob
    mode: int = 0o755
    owner: str = ROOT


@dataclass(frozen=True, slots=True, kw_only=True)
class User(Resource):
    """A system user with a group of its own and no shell."""

    kind: ClassVar[str] = "user"
    home: str = "/nonexistent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Package(Resource):
    """A package of the distribution; any version is fine."""

    kind: ClassVar[str] = "package"


@dataclass(frozen=True, slots=True, kw_only=True)
class Module(Resource):
    """A kernel module, present when its effect is (``/sys/module/X``, ``/proc/filesystems``, a sysctl), built in or loaded."""

    kind: ClassVar[str] = "module"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sysctl(Resource):
    """A running kernel setting; the persistent file is a ``File`` beside it."""

    kind: ClassVar[str] = "sysctl"
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap(Resource):
    """No swap, now and after a reboot (fstab is edited, the former text kept)."""

    kind: ClassVar[str] = "swap"


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """What a firewall lets in: *protocol* (tcp, udp, any) *first* to *last* from *networks* (none: from anywhere), on its way through *hook*."""

    protocol: str
    first: int
    last: int
    hook: str  # input | forward
    networks: tuple[IPv4Network, ...]
    purpose: str

    def __str__(self) -> str:
        numbers = f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"
        what = "everything" if self.protocol == "any" else f"{self.protocol} {numbers}"
        where = ", ".join(str(n).removesuffix("/32") for n in self.networks) or "anywhere"
        return f"{'forward' if self.hook == 'forward' else 'allow'} {what} from {where} ({self.purpose})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Firewall(Resource):
    """What the host's firewall lets in. *opens* False: only looked at. *strict*: everything else is dropped by a table of our own.

    *pods* is the cluster's pod range; the proxy's table and the pod network's unit come back after somebody flushed all rules («» where there is
    none of it); *guard_s*: after so many seconds a change that nobody confirmed is taken back.
    """

    kind: ClassVar[str] = "firewall"
    rules: tuple[Allow, ...]
    pods: IPv4Network
    opens: bool = True
    strict: bool = False
    proxy_table: str = ""
    network_unit: str = ""
    guard_s: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Service(Resource):
    """A unit that runs, is enabled, and was started with exactly the present inputs.

    *inputs* maps each input file to the sha256 it should have been started with; *binaries* are compared by stat. What a daemon
    reloads by itself is not among them; for those of *reloads* it is told to. *ahead* is sh text that runs before a restart.
    """

    kind: ClassVar[str] = "service"
    inputs: Mapping[str, str]
    binaries: tuple[str, ...] = ()
    serial: bool = False  # restarts of a running one go host by host
    reloads: frozenset[str] = frozenset()
    ahead: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerImage(Resource):
    """An image in containerd's k8s.io namespace, imported from a bundle."""

    kind: ClassVar[str] = "image"
    blob: Blob


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest(Resource):
    """One object of the Kubernetes API; *name* is ``Kind/[namespace/]name``. Every leaf of *document* must hold in the live object."""

    kind: ClassVar[str] = "manifest"
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node(Resource):
    """Labels, taints and pod range of a registered node; of labels and taints only ours are ever changed."""

    kind: ClassVar[str] = "node"
    labels: Mapping[str, str]
    taints: tuple[str, ...]
    pod_range: str
