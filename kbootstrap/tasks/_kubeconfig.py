"""What the tasks of ``kubeconfig`` share; imported late."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kbootstrap import inventory, kubeconfig
from kbootstrap.engine import kubeconfig_check
from kbootstrap.engine.kubeconfig_check import Row
from kbootstrap.errors import PkiError, UsageError
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.pki import Pki, Profile
from kbootstrap.pki import issue
from kbootstrap.pki.profiles import profiles
from kbootstrap.store import clock, kubectl_config, lock, operator_kubeconfig, pki_dir, state
from kbootstrap.store.entropy import SystemEntropy
from kbootstrap.store.folder import Folder
from kbootstrap.tasks._common import say


def issued(folder: Folder, spec: ClusterSpec, wanted: Sequence[Profile]) -> Pki:
    """The cluster's PKI with everything *wanted* in it, saved; the caller holds the cluster's lock. PkiError where there is no PKI yet."""
    pki = pki_dir.load(folder.pki)
    if pki.is_empty:
        raise PkiError(f"{folder.pki} holds no certificates yet", hint="They are made by the first `invoke cluster.up`.")
    pki, made = issue.complete(pki, wanted, now=clock.now(), certificates=spec.certificates, entropy=SystemEntropy())
    pki_dir.save(folder.pki, pki, made)
    return pki


@contextmanager
def fresh(folder: Folder, command: str, *, master: str = "") -> Iterator[tuple[ClusterSpec, Pki, bool]]:
    """With the cluster's lock held: its spec and PKI, an admin.conf that is up to date, and whether it had to be written."""
    spec = inventory.load(folder.cluster_yml)
    if master and master not in [host.name for host in spec.masters]:
        raise UsageError(f"{folder.cluster_yml} has no master {master}", hint=f"It has {', '.join(host.name for host in spec.masters)}.")
    with lock.hold(folder.root, command):
        pki = issued(folder, spec, [profile for profile in profiles(spec) if profile.kubeconfig == "admin"])
        yield spec, pki, operator_kubeconfig.write(folder.admin_conf, spec, pki, current=master)


def owners(folder: Folder) -> frozenset[str]:
    """Every mark of this cluster. A PKI that cannot be read is no hindrance where there is the cluster's id. PkiError where there is neither."""
    try:
        found = operator_kubeconfig.owners(folder, pki_dir.load(folder.pki))
    except PkiError:
        found = frozenset({state.load(folder.state).cluster_id}) - {""}
    if not found:
        raise PkiError(f"{folder.root} holds neither {folder.state.name} nor a PKI: no entry can be known as this cluster's")
    return found


def refuse_missing(file: str) -> None:
    """UsageError where the user names a file that is not there: «nothing of this cluster there» would look like success."""
    if file and not Path(file).exists():
        raise UsageError(f"there is no {file}", hint="--file names a kubeconfig; without it those are meant that kubectl reads.")


def checked(folder: Folder, file: str, days: int | None) -> dict[Path, tuple[Row, ...]]:
    """Every context of the cluster in *file*, tried; by default in those of KUBECONFIG, or in its admin.conf. UsageError where there is none."""
    listed = [] if file else [path for path in kubectl_config.find().paths if os.environ.get(kubectl_config.VARIABLE)]
    paths = [Path(file)] if file else [path for path in listed if path.exists()] or [folder.admin_conf]
    certificates, marks = inventory.load(folder.cluster_yml).certificates, owners(folder)
    found = {path: kubeconfig_check.check(_text(path), marks, certificates, days=days) for path in paths}
    if not any(found.values()):
        names = ", ".join(map(str, paths))
        hint = f"invoke kubeconfig.merge brings them; or say --file {folder.admin_conf}."
        raise UsageError(f"{names} {'has' if len(paths) == 1 else 'have'} no context of this cluster", hint=hint)
    return {path: rows for path, rows in found.items() if rows}


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}", hint="invoke kubeconfig.admin") from error


def table(rows: Sequence[Row]) -> Iterator[str]:
    """A line for each context, and the command that mends it."""
    width = max(len(row.context) for row in rows)
    for row in rows:
        left = "" if row.days_left is None or row.days_left < 0 else f"; {row.days_left:.1f} days left"
        yield f"{row.context:<{width}}  {row.verdict:<11}  {row.detail}{left}"
    for hint in dict.fromkeys(row.hint for row in rows if row.hint):
        yield f"  {hint}"


def tell(found: kubectl_config.Files, edited: kubeconfig.Edited, written: Sequence[Path], *, verb: str) -> None:
    """What became of the user's files."""
    for path in written:
        kept = f"; until now: {path}{kubectl_config.PREVIOUS}" if Path(f"{path}{kubectl_config.PREVIOUS}").exists() else ""
        say(f"{path} {verb}{kept}" if verb == "written" else f"{path}: {edited.entries} entries {verb}{kept}")
    if not written:
        say(f"{found.home} is up to date" if verb == "written" else f"{', '.join(map(str, found.paths))}: nothing of this cluster there")
