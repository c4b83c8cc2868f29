"""What ``certs.show``, ``certs.plan``, ``certs.ensure``, ``certs.export`` and ``certs.check`` do beside their options; imported late."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from kbootstrap import inventory
from kbootstrap.engine.certs_check import issued as existing
from kbootstrap.engine.prepare import roles
from kbootstrap.errors import UsageError
from kbootstrap.model.certificate import State
from kbootstrap.model.pki import Issued, KeyPair, Pki, Profile
from kbootstrap.pki import export, issue, select
from kbootstrap.pki.judge import Wanted
from kbootstrap.pki.profiles import CAS, profiles
from kbootstrap.plan import kept
from kbootstrap.report.kept import Branch, Due
from kbootstrap.store import clock, files, lock, pki_dir
from kbootstrap.store.entropy import SystemEntropy
from kbootstrap.store.folder import Folder
from kbootstrap.tasks._common import say
from kbootstrap.tasks._passphrase import Passphrases
from kbootstrap.tasks._runner import in_hand

_STYLES = {State.OK: "", State.EXPIRING: "yellow", State.UNREACHABLE: "yellow"}


def paint(lines: Iterable[tuple[State, str]]) -> None:
    """Lines on standard output; on a terminal in colour (not with NO_COLOR)."""
    console = Console(highlight=False, soft_wrap=True) if sys.stdout.isatty() else None
    for state, line in lines:
        if console is None:
            say(line)
        else:
            console.print(Text(in_hand(line), style=_STYLES.get(state, "red")))


def _wanted(folder: Folder, pki: Pki) -> Wanted:
    spec = inventory.load(folder.cluster_yml)
    return Wanted(spec=spec, pki=pki, profiles={p.id: p for p in profiles(spec)}, now=clock.now())


def _chosen(wanted: Wanted, hosts: Sequence[str], names: Sequence[str]) -> tuple[Profile, ...]:
    return select.chosen(tuple(wanted.profiles.values()), hosts=hosts, names=names)


def due(folder: Folder, hosts: Sequence[str], names: Sequence[str]) -> tuple[Due, ...]:
    """What ``certs.ensure`` would issue."""
    wanted = _wanted(folder, pki_dir.load(folder.pki))
    return kept.due(wanted, kept.restarts(roles(), wanted), _chosen(wanted, hosts, names))


def tree(folder: Folder, hosts: Sequence[str], names: Sequence[str]) -> tuple[Branch, ...]:
    """What the PKI directory holds. PkiError when it holds nothing."""
    wanted = _wanted(folder, existing(folder))
    return kept.tree(wanted, kept.restarts(roles(), wanted), _chosen(wanted, hosts, names) if hosts or names else None)


def ensure(folder: Folder, hosts: Sequence[str], names: Sequence[str]) -> tuple[tuple[Due, ...], tuple[Issued, ...]]:
    """Issue what is missing, wrong or about to expire: why, and what was made of it. The whole directory changes or nothing."""
    with lock.hold(folder.root, "certs.ensure"):
        planned = due(folder, hosts, names)
        before = pki_dir.load(folder.pki)
        wanted = _wanted(folder, before)
        pki, made = issue.complete(
            before, _chosen(wanted, hosts, names), now=wanted.now, certificates=wanted.spec.certificates, entropy=SystemEntropy()
        )
        pki_dir.save(folder.pki, pki, made)
    return planned, made


FORMATS = ("p12", "pem")


def export_to(folder: Folder, name: str, path: Path, *, form: str, phrase: Passphrases, force: bool) -> None:
    """Write the certificate called *name* to *path*, 0600. UsageError before anything is asked or written, PkiError without a passphrase."""
    pki = existing(folder)
    pair, issuer = _pair(folder, pki, name)
    if form not in FORMATS:
        raise UsageError(f"--format: there is no {form}", hint=f"There are {', '.join(FORMATS)}.")
    files.refuse_unfit(path, option="--to", taken="" if force else "Say --force to replace it.")
    trust = pki.trust(issuer)
    content = export.pem(pair, trust) if form == "pem" else export.p12(name, pair, trust, phrase.fresh("the exported file"))
    if force:
        files.write_secret(path, content)
    else:
        files.create_secret(path, content)


def _pair(folder: Folder, pki: Pki, name: str) -> tuple[KeyPair, str]:
    """The pair called *name* with its CA's name; of a CA its certificate alone."""
    if name in CAS:
        return KeyPair(cert_pem=pki.cas[name].cert_pem), name
    if name not in pki.pairs:
        raise UsageError(f"--name: {folder.pki} holds no {name or 'certificate without a name'}", hint="`invoke certs.show` lists them.")
    table = {p.id: p for p in profiles(inventory.load(folder.cluster_yml))}
    return pki.pairs[name], table[name].issuer if name in table else CAS[0]
