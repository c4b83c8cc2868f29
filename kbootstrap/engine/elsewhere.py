"""Certificates that a CA elsewhere signs: requests go out, answers come in, CAs of the user's are taken. The operator's disk alone; no host.

Keys stay in the PKI directory. Whatever comes in is judged whole before anything of it is written, and written as one change (``pki_dir.replace``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from kbootstrap import inventory
from kbootstrap.catalog import names
from kbootstrap.errors import PkiError, UsageError
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.pki import Issued, Pki, Profile
from kbootstrap.pki import answer, authority, inspect, issue, request, select
from kbootstrap.pki.profiles import profiles
from kbootstrap.store import clock, files, lock, passphrase, pki_dir
from kbootstrap.store.entropy import SystemEntropy
from kbootstrap.store.folder import Folder

_CERTIFICATES: Final = frozenset({".crt", ".pem", ".cer", ".der", ".p7b", ".p7c"})
_HOW_TO_BEGIN: Final = "`invoke certs.install --ca cluster FILE` gives it a CA of yours; the first `invoke cluster.up` makes its own."


def for_leaves(folder: Folder, *, hosts: Sequence[str] = (), chosen: Sequence[str] = ()) -> Mapping[str, bytes]:
    """Requests (profile id → PEM) for what *hosts* and *chosen* name; for what is due and cannot be signed here when both are empty.

    A cluster that was given CAs begins by it: what it still lacks (other CAs, keys) is made. PkiError where there is no CA to ask.
    """
    spec = inventory.load(folder.cluster_yml)
    with lock.hold(folder.root, "certs.csr"):
        before = pki_dir.load(folder.pki)
        pki, issued = _begun(before, spec)
        due = _selected(pki, spec, hosts, chosen)
        after, requests = request.for_leaves(pki, due, kind=spec.certificates.key_type, entropy=SystemEntropy())
        if after != before:
            pki_dir.replace(folder.pki, before, after, issued)
    return requests


def for_ca(folder: Folder, name: str) -> bytes:
    """The request (PEM) for the CA called *name* of a cluster that has not begun. PkiError when it has."""
    spec = inventory.load(folder.cluster_yml)
    with lock.hold(folder.root, "certs.csr"):
        before = pki_dir.load(folder.pki)
        after, made = request.for_ca(before, name, kind=spec.certificates.key_type, entropy=SystemEntropy())
        if after != before:
            pki_dir.replace(folder.pki, before, after, ())
    return made


def install(folder: Folder, contents: Mapping[str, bytes]) -> answer.Judged:
    """Take the answers that *contents* (file → bytes) hold; all or nothing. PkiError with the reason for each file that is not taken."""
    spec = inventory.load(folder.cluster_yml)
    with lock.hold(folder.root, "certs.install"):
        before = pki_dir.load(folder.pki)
        judged = answer.judge(before, _all(spec), contents, now=clock.now(), wanted=spec.certificates)
        if judged.problems:
            what = f"{len(judged.problems)} of {len(contents)} files are not taken; nothing was installed"
            raise PkiError(what, problems=judged.problems, hint="The requests stay open; `invoke certs.csr` writes them again.")
        if judged.pki != before:
            pki_dir.replace(folder.pki, before, judged.pki, judged.issued)
    return judged


def give(folder: Folder, name: str, content: bytes, key_pem: bytes) -> tuple[str, ...]:
    """Take a CA of the user's; returns what its user must know. PkiError when it cannot be one, or the cluster has begun."""
    with lock.hold(folder.root, "certs.install"):
        before = pki_dir.load(folder.pki)
        pems = answer.certificates(content)
        after = authority.give(before, name, pems, key_pem, now=clock.now(), passphrase=lambda: passphrase.ask(issue.CA_KEYS))
        pki_dir.replace(folder.pki, before, after, ())
    return tuple(authority.warnings(name, after.given[name].cert_pem))


def write(to: Path, requests: Mapping[str, bytes]) -> tuple[Path, ...]:
    """``m1/apiserver`` → ``m1.apiserver.csr`` in the folder *to*, which is made. A request holds no secret."""
    files.make_folder(to)
    written = []
    for request_id, pem in requests.items():
        path = to / f"{request_id.replace('/', '.')}.csr"
        files.write_secret(path, pem)
        written.append(path)
    return tuple(written)


def read(where: str) -> Mapping[str, bytes]:
    """The files that *where* names: one, several with commas between, or a folder's certificates. UsageError when one cannot be read."""
    paths = [Path(where)] if Path(where).exists() else [Path(part.strip()) for part in where.split(",")]
    if paths[0].is_dir():
        paths = sorted(path for path in paths[0].iterdir() if path.suffix.lower() in _CERTIFICATES)
    if not paths:
        raise UsageError(f"{where} holds no file that ends with {', '.join(sorted(_CERTIFICATES))}")
    try:
        return {str(path): path.read_bytes() for path in paths}
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}", hint="For example: invoke certs.install signed/") from error


def _begun(pki: Pki, spec: ClusterSpec) -> tuple[Pki, tuple[Issued, ...]]:
    if not pki.is_empty:
        return pki, ()
    if not pki.given:
        raise PkiError("there is no CA yet whose signatures could be asked for", hint=_HOW_TO_BEGIN)
    return issue.complete(pki, (), now=clock.now(), certificates=spec.certificates, entropy=SystemEntropy())


def _selected(pki: Pki, spec: ClusterSpec, hosts: Sequence[str], chosen: Sequence[str]) -> tuple[Profile, ...]:
    if hosts or chosen:
        return select.chosen(_all(spec), hosts=hosts, names=chosen)
    now = clock.now()
    due = [p for p in profiles(spec) if not pki.ca(p.issuer).key_pem and inspect.reason(pki, p, now=now, certificates=spec.certificates)]
    unused = not any(inspect.is_signed_by(pair.cert_pem, pki.ca(names.CLUSTER_CA).cert_pem) for pair in pki.pairs.values())
    first = [issue.BOOTSTRAP] if unused and issue.unable_to_bind(pki, now) else []
    return (*due, *first)


def _all(spec: ClusterSpec) -> tuple[Profile, ...]:
    return (*profiles(spec), issue.BOOTSTRAP)
