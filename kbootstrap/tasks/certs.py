"""Certificates for their whole life. Offline unless a task's first line says that hosts are read or changed."""

from __future__ import annotations

import json as encoder
from dataclasses import asdict
from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from kbootstrap.errors import UsageError
from kbootstrap.tasks._certs_acting import renew, rotate
from kbootstrap.tasks._certs_elsewhere import csr, install
from kbootstrap.tasks._certs_keeping import backup, decrypt_keys, encrypt_keys, restore, seal, unseal
from kbootstrap.tasks._certs_ledger import issued, revoke
from kbootstrap.tasks._common import CLUSTER_HELP, JSON_HELP, find_folder, reported, say
from kbootstrap.tasks.cluster import _list

__all__ = (
    "backup",
    "check",
    "csr",
    "decrypt_keys",
    "encrypt_keys",
    "ensure",
    "export",
    "install",
    "issued",
    "plan",
    "renew",
    "restore",
    "revoke",
    "rotate",
    "seal",
    "show",
    "unseal",
)
CHANGES = 10
SELECTION = {"host": "only certificates of these hosts (m1,w2)", "name": "only certificates of these names (apiserver,etcd-peer)"}
_WAY_IN = {"ask_sudo_password": "ask for sudo's password", "sudo_password_fd": "read sudo's password from this file descriptor"}


@task(auto_shortflags=False, help={"cluster": CLUSTER_HELP, **SELECTION, "json": JSON_HELP})
@reported
def plan(_: Context, cluster: str = "", host: str = "", name: str = "", json: bool = False) -> None:
    """Show which certificates would be issued, why, and what restarts for them; changes nothing, asks no host. Exit code 0: none, 10: some."""
    from kbootstrap.report import kept
    from kbootstrap.tasks import _certs_looking as looking

    due = looking.due(find_folder(cluster), _list(host), _list(name))
    if json:
        say(encoder.dumps({"due": [asdict(each) for each in due]}, indent=1))
    else:
        for line in kept.plan(due):
            say(line)
    if any(each.symbol != "!" for each in due):
        raise Exit(code=CHANGES)


@task(auto_shortflags=False, help={"cluster": CLUSTER_HELP, **SELECTION, "json": JSON_HELP})
@reported
def ensure(_: Context, cluster: str = "", host: str = "", name: str = "", json: bool = False) -> None:
    """Issue what is missing, wrong or about to expire into the PKI directory, and nothing else; asks no host. A CA is made for a new cluster only."""
    from kbootstrap.report import kept
    from kbootstrap.tasks import _certs_looking as looking

    folder = find_folder(cluster)
    due, made = looking.ensure(folder, _list(host), _list(name))
    if json:
        rows = [{"id": i.id, "serial": i.serial, "issuer": i.issuer, "not_after": i.not_after.isoformat(), "reason": i.reason} for i in made]
        say(encoder.dumps({"issued": rows, "due": [asdict(each) for each in due]}, indent=1))
        return
    for line in kept.ensured(due, len(made), str(folder.pki)):
        say(line)


@task(auto_shortflags=False, help={"cluster": CLUSTER_HELP, **SELECTION, "json": JSON_HELP})
@reported
def show(_: Context, cluster: str = "", host: str = "", name: str = "", json: bool = False) -> None:
    """Show the PKI directory as a tree by CA: subjects, SANs, serials, keys, days left, files, units that restart; asks no host."""
    from kbootstrap.report import kept
    from kbootstrap.tasks import _certs_looking as looking

    branches = looking.tree(find_folder(cluster), _list(host), _list(name))
    if json:
        rows = [{**each.ca.data(), "key": each.key, "signed": [leaf.data() for leaf in each.leaves]} for each in branches]
        say(encoder.dumps({"cas": rows}, indent=1))
    else:
        looking.paint(kept.tree(branches))


@task(
    auto_shortflags=False,
    help={
        "cluster": CLUSTER_HELP,
        "name": "one certificate, as certs.show calls it (admin, m1/apiserver), or a CA, without its key",
        "to": "the file to write",
        "format": "p12 (PKCS #12, for a browser) or pem (key, certificate, CA in one text)",
        "passphrase_file": "a file of mode 0600 whose first line is the passphrase of the p12",
        "passphrase_fd": "read the passphrase of the p12 from this file descriptor",
        "force": "replace the file if it exists",
    },
)
@reported
def export(
    _: Context, name: str = "", to: str = "", cluster: str = "", format: str = "p12", passphrase_file: str = "", passphrase_fd: int = -1,
    force: bool = False,
) -> None:  # fmt: skip
    """Write a certificate with its key for another program: PKCS #12 for a browser, or PEM. The file is 0600; asks no host."""
    from kbootstrap.tasks import _certs_looking as looking
    from kbootstrap.tasks._passphrase import Passphrases

    if not name or not to:
        raise UsageError("certs.export needs --name and --to", hint="For example: invoke certs.export --name admin --to admin.p12")
    phrase = Passphrases(passphrase_file, passphrase_fd)
    looking.export_to(find_folder(cluster), name, Path(to), form=format, phrase=phrase, force=force)
    say(f"{to} written (0600)")


@task(
    auto_shortflags=False,
    help={
        "cluster": CLUSTER_HELP,
        "limit": "only these hosts (m1,w2)",
        "days": "what ends within so many days is expiring; by default what the next run would renew",
        "all": "what is fine, too, place by place",
        "json": JSON_HELP,
        **_WAY_IN,
    },
)
@reported
def check(
    _: Context, cluster: str = "", limit: str = "", days: int = -1, all: bool = False, json: bool = False, ask_sudo_password: bool = False,
    sudo_password_fd: int = -1,
) -> None:  # fmt: skip
    """Compare inventory, PKI, every host's disk and what each port serves; reads hosts. Exit code 0: fine, 10: expiring, 11: wrong or expired."""
    from kbootstrap.engine import certs_check
    from kbootstrap.tasks import _certs_looking as looking
    from kbootstrap.tasks import _request

    with _request.open_(find_folder(cluster), quiet=json, ask=ask_sudo_password, fd=sudo_password_fd, limit=_list(limit)) as request:
        found = certs_check.check(request, days=days if days >= 0 else None)
    if json:
        say(encoder.dumps(found.data(), indent=1))
    else:
        looking.paint(found.lines(every=all))
    if found.exit_code:
        raise Exit(code=found.exit_code)
