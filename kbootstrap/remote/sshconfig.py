"""The way in, with what ``~/.ssh/config`` adds; ``cluster.yml`` wins wherever it says something."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import paramiko

from kbootstrap.errors import ConnectError
from kbootstrap.model.host import Ssh

USER_CONFIG: Final = Path("~/.ssh/config")


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One hop. *host* and *port* name its key in known_hosts; *dial* is where the connection really goes."""

    host: str
    port: int
    user: str
    dial: tuple[str, int]
    keys: tuple[Path, ...]  # to try first, in this order; empty: the agent's and the usual files
    via: Way | None = None


def resolve(ssh: Ssh, config_file: Path | None = USER_CONFIG) -> Way:
    """The hop to *ssh* and those before it. HostName, Port (where cluster.yml has 22), IdentityFile and ProxyJump are honoured."""
    try:
        config = _read(config_file)
        entry = config.lookup(ssh.host)
        if ssh.bastion is None:
            via = _jump(config, entry.get("proxyjump", "none"), depth=0)
        else:
            b = ssh.bastion
            via = _way(config.lookup(b.host), host=b.host, port=b.port, user=b.user, key=b.key)
        return _way(entry, host=ssh.host, port=ssh.port, user=ssh.user, key=ssh.key, via=via)
    except (OSError, paramiko.ConfigParseError, ValueError) as error:
        raise ConnectError(f"{config_file} cannot be used: {error}", hint=f"Mend it; `ssh -G {ssh.host}` shows how OpenSSH reads it.") from error


def _way(entry: paramiko.SSHConfigDict, *, host: str, port: int, user: str, key: Path | None, via: Way | None = None) -> Way:
    configured = int(entry.get("port", 22))
    real_port = configured if port == 22 else port
    keys = (key,) if key is not None else tuple(Path(name).expanduser() for name in entry.get("identityfile", ()))
    return Way(host=host, port=real_port, user=user, dial=(entry.get("hostname", host), real_port), keys=keys, via=via)


def _jump(config: paramiko.SSHConfig, text: str, *, depth: int) -> Way | None:
    """``ProxyJump [user@]host[:port][,…]``, the nearest hop to the target last."""
    if text.lower() == "none":
        return None
    if depth > 8:
        raise ConnectError(f"ProxyJump goes in circles ({text})", hint=f"Mend {USER_CONFIG}.")
    *before, last = text.split(",")
    user, _, place = last.strip().removeprefix("ssh://").rpartition("@")
    host, _, port = place.partition(":") if place.count(":") == 1 else (place.strip("[]"), "", "")
    entry = config.lookup(host)
    via = _jump(config, ",".join(before) or entry.get("proxyjump", "none"), depth=depth + 1)
    return _way(entry, host=host, port=int(port or 22), user=user or entry.get("user", "") or os.environ.get("USER", "root"), key=None, via=via)


def _read(path: Path | None) -> paramiko.SSHConfig:
    if path is None or not path.expanduser().exists():
        return paramiko.SSHConfig()
    return paramiko.SSHConfig.from_text(path.expanduser().read_text(errors="replace"))
