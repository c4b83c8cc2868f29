"""Public-key login: which keys are tried, in which order, and what is said when none fits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

import paramiko
from paramiko.pkey import PublicBlob

from kbootstrap.errors import AuthError
from kbootstrap.remote.hostkeys import fingerprint

USUAL_KEYS: Final = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")
MAX_TRIES: Final = 6  # sshd's default MaxAuthTries


@dataclass(slots=True)
class Tried:
    """What has been tried so far, for the message; *notes* are keys that could not be used at all."""

    keys: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def authenticate(transport: paramiko.Transport, user: str, keys: tuple[Path, ...], *, host: str) -> None:
    """Log in as *user* with the given key files, then the agent's keys; without given ones the usual files come last.

    Never asks for anything. Raises AuthError naming every key that was tried; EOFError or SSHException if the connection ends.
    """
    tried = Tried()
    with closing(paramiko.Agent()) as agent:
        for name, key in _candidates(keys, agent, tried):
            if len(tried.keys) == MAX_TRIES:
                tried.notes.append("more keys were not tried (sshd's MaxAuthTries)")
                break
            tried.keys.append(f"{name} ({key.get_name()} {fingerprint(key.asbytes())})")
            if _accepted(transport, user, key, tried):
                return
            if not transport.is_active():
                tried.notes.append("the host then closed the connection (MaxAuthTries?)")
                break
    raise _refused(user, tried, host=host)


def _accepted(transport: paramiko.Transport, user: str, key: paramiko.PKey, tried: Tried) -> bool:
    try:
        more = transport.auth_publickey(user, key)
    except paramiko.BadAuthenticationType as error:
        tried.notes.append(f"the host accepts only {', '.join(error.allowed_types)}")
        return False
    except paramiko.AuthenticationException:
        return False
    except paramiko.SSHException as error:
        if not transport.is_active():
            raise
        tried.notes.append(f"that key cannot sign: {error}")  # removed from the agent meanwhile, or a hardware key not touched
        return False
    if more:
        tried.notes.append(f"the key was accepted, but the host also wants {', '.join(more)}")
    return not more


def _candidates(keys: tuple[Path, ...], agent: paramiko.Agent, tried: Tried) -> Iterator[tuple[str, paramiko.PKey]]:
    in_agent = {key.asbytes(): key for key in agent.get_keys()}
    used: set[bytes] = set()
    for path in keys:
        if (key := _load(path, tried)) is None:
            key = in_agent.get(_public(path))  # locked by a passphrase, but the agent has it open
        if key is not None:
            used.add(key.asbytes())
            yield str(path), key
    for blob, agent_key in in_agent.items():
        if blob not in used:
            yield f"agent key «{agent_key.comment}»", agent_key
    if not keys:
        for path in (Path(name).expanduser() for name in USUAL_KEYS):
            if path.exists() and _public(path) not in in_agent and (key := _load(path, tried)) is not None:
                yield str(path), key


def _load(path: Path, tried: Tried) -> paramiko.PKey | None:
    try:
        return _read(path, path.expanduser().stat().st_mtime_ns)
    except OSError as error:
        tried.notes.append(f"{path} cannot be read: {error.strerror}")
    except (TypeError, paramiko.PasswordRequiredException):
        tried.notes.append(f"{path} is locked by a passphrase and the agent does not have it (`ssh-add {path}`)")
    except Exception as error:  # cryptography raises what its parser meets; whatever it is, the file is no usable key
        tried.notes.append(f"{path} is no private key that can be used ({type(error).__name__})")
    return None


@lru_cache(maxsize=64)
def _read(path: Path, _: int) -> paramiko.PKey:
    """One key opens many hosts, and is read once as long as the file is not another."""
    return paramiko.PKey.from_path(path)


def _public(path: Path) -> bytes:
    """The public half beside a private key file, in wire format; empty if there is none."""
    try:
        kind, data, *_ = Path(f"{path}.pub").read_text().split()
        return bytes(PublicBlob.from_string(f"{kind} {data}").key_blob)
    except (OSError, ValueError):
        return b""


_SET: Final = "set ssh.user and ssh.key in cluster.yml"
_KEY_HINT: Final = f"Mend that file, load the key into the agent with ssh-add, or {_SET}."


def _refused(user: str, tried: Tried, *, host: str) -> AuthError:
    keys = "; ".join(tried.keys) or ("no key" if tried.notes else "no key: none is configured, in the agent, or in ~/.ssh")
    notes = "".join(f"; {note}" for note in tried.notes)
    return AuthError(
        f"{host} does not let user {user} in. Tried {keys}{notes}",
        hint=_KEY_HINT if tried.notes and not tried.keys else f"Add the public key to {user}'s authorized_keys on the host, or {_SET}.",
    )
