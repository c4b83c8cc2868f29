"""The operator's kubeconfig, ``inventory/<cluster>/admin.conf``: made of the local PKI, no host is asked. And by what a kubeconfig is ours."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from kbootstrap import kubeconfig
from kbootstrap.catalog import names
from kbootstrap.errors import UsageError
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.pki import Pki
from kbootstrap.pki import inspect
from kbootstrap.store import files, state
from kbootstrap.store.folder import Folder

PREVIOUS: Final = ".previous"


def write(path: Path, spec: ClusterSpec, pki: Pki, *, current: str = "") -> bool:
    """(Re)write the file, 0600; False, and nothing written, when it says the same already.

    *current* is the master whose context is selected; when empty, the choice that stands in the file is kept. The content until now stays
    beside it as ``admin.conf.previous``.
    """
    before = path.read_bytes() if path.exists() else b""
    text = kubeconfig.admin(spec, pki, owner=owner(Folder(root=path.parent), pki), current=current or _selected(spec, before)).encode()
    if text == before and not path.stat().st_mode & 0o077:
        return False
    files.write_secret(path, text, previous=PREVIOUS)
    files.sync([path.parent])
    return True


def owner(folder: Folder, pki: Pki) -> str:
    """What marks an entry as this cluster's: its id, which outlives every CA; the CA's fingerprint until it has one."""
    return state.load(folder.state).cluster_id or inspect.fingerprint(pki.ca(names.CLUSTER_CA).cert_pem)


def owners(folder: Folder, pki: Pki) -> frozenset[str]:
    """Every mark by which an entry is this cluster's: its id, and each CA that it has or had, which marked entries once."""
    chains = [pki.cas[names.CLUSTER_CA].cert_pem] if names.CLUSTER_CA in pki.cas else []
    chains += [kept[names.CLUSTER_CA] for kept in (pki.former, pki.retired) if names.CLUSTER_CA in kept]
    marks = {inspect.fingerprint(block) for chain in chains for block in inspect.blocks(chain)}
    return frozenset(marks | {state.load(folder.state).cluster_id}) - {""}


def _selected(spec: ClusterSpec, before: bytes) -> str:
    """The master that the file selects; empty when it selects none, or is damaged (it is written anew, and kept)."""
    try:
        context = kubeconfig.parse(before.decode()).get("current-context")
    except (UsageError, UnicodeDecodeError):
        return ""
    return str(context).rpartition("@")[2].removeprefix(f"{spec.name}-")
