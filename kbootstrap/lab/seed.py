"""What makes one host itself: name, machine-id, host key, the operator's key, the user who must give a password to sudo.

Written as plain files into the upper layer of the host's root before its first boot, and kept aside so that ``bare`` gives the same host again.
"""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from kbootstrap.lab.command import run
from kbootstrap.lab.value import SUDO_USER, LabHost

_UID = 1000


def key_pair() -> tuple[str, str]:
    """A new Ed25519 key: private in OpenSSH's format, public as one line without comment."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    return private, key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def crypt(password: str, image: Path) -> str:
    """*password* as /etc/shadow wants it, by the image's own openssl; the password travels by standard input only."""
    return run(["chroot", str(image), "openssl", "passwd", "-6", "-stdin"], text=f"{password}\n").strip()


def host_key(host: LabHost) -> str:
    """The public host key, as known_hosts wants it."""
    return (host.home / "seed/etc/ssh/ssh_host_ed25519_key.pub").read_text().strip()


def write(host: LabHost, *, authorized: str, shadow: str) -> None:
    """Write the seed of *host*: *authorized* is the operator's public key, *shadow* the sudo user's hashed password."""
    seed = host.home / "seed.new"
    if seed.exists():
        shutil.rmtree(seed)
    private, public = key_pair()
    _put(seed, "etc/ssh/ssh_host_ed25519_key", private, 0o600)
    _put(seed, "etc/ssh/ssh_host_ed25519_key.pub", f"{public} root@{host.name}\n", 0o644)
    _put(seed, "etc/machine-id", f"{secrets.token_hex(16)}\n", 0o444)
    _put(seed, "etc/hostname", f"{host.name}\n", 0o644)
    _put(seed, "etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {host.name}\n::1 localhost ip6-localhost ip6-loopback\n", 0o644)
    _put(seed, "etc/resolv.conf", f"nameserver {host.gateway}\n", 0o644)  # nobody answers there, and quickly
    if host.login == "root":
        _put(seed, "root/.ssh/authorized_keys", f"{authorized}\n", 0o600)
        (seed / "root").chmod(0o700)
        (seed / "root/.ssh").chmod(0o700)
    else:
        _add_user(seed, host.image, authorized, shadow)
    seed.rename(host.home / "seed")


def _add_user(seed: Path, image: Path, authorized: str, shadow: str) -> None:
    """The user who may use sudo, as Debian's installer makes one: in the group sudo, which must give its password."""
    _put(seed, "etc/passwd", (image / "etc/passwd").read_text() + f"{SUDO_USER}:x:{_UID}:{_UID}::/home/{SUDO_USER}:/bin/bash\n", 0o644)
    groups = (image / "etc/group").read_text().replace("\nsudo:x:27:\n", f"\nsudo:x:27:{SUDO_USER}\n")
    _put(seed, "etc/group", groups + f"{SUDO_USER}:x:{_UID}:\n", 0o644)
    _put(seed, "etc/shadow", (image / "etc/shadow").read_text() + f"{SUDO_USER}:{shadow}:19700:0:99999:7:::\n", 0o640)
    shutil.copystat(image / "etc/shadow", seed / "etc/shadow")
    _own(seed / "etc/shadow", (image / "etc/shadow").stat().st_uid, (image / "etc/shadow").stat().st_gid)
    _put(seed, f"home/{SUDO_USER}/.ssh/authorized_keys", f"{authorized}\n", 0o600)
    home = seed / "home" / SUDO_USER
    (home / ".ssh").chmod(0o700)
    for path in (home, home / ".ssh", home / ".ssh/authorized_keys"):
        _own(path, _UID, _UID)


def _put(root: Path, path: str, content: str, mode: int) -> None:
    target = root / path
    for folder in reversed([parent for parent in target.parents if parent.is_relative_to(root) and not parent.exists()]):
        folder.mkdir()
        folder.chmod(0o755)  # whatever the caller's umask: the upper layer's modes are the host's
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
    target.chmod(mode)


def _own(path: Path, user: int, group: int) -> None:
    os.chown(path, user, group)
