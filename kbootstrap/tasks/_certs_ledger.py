"""``certs.issued`` and ``certs.revoke``: what was ever signed, and what can be done about it. ``certs.py`` lists them beside the others."""

from __future__ import annotations

import json as encoder
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from kbootstrap.tasks._common import CLUSTER_HELP, JSON_HELP, find_folder, reported, say
from kbootstrap.tasks.cluster import _list

if TYPE_CHECKING:
    from datetime import datetime

    from kbootstrap.model.pki import Issued


@task(
    auto_shortflags=False,
    help={
        "cluster": CLUSTER_HELP,
        "host": "only certificates of these hosts (m1,w2)",
        "name": "only these ids or subjects (apiserver,m1/apiserver,alice)",
        "expired": "those that have expired, too",
        "json": JSON_HELP,
    },
)
@reported
def issued(_: Context, cluster: str = "", host: str = "", name: str = "", expired: bool = False, json: bool = False) -> None:
    """List every signature that was made: serial, subject, groups, expiry, who, when, why; users of kubeconfigs too. Asks no host."""
    from kbootstrap.store import clock, pki_dir

    now = clock.now()
    entries = [e for e in pki_dir.ledger(find_folder(cluster).pki) if expired or e.not_after > now]
    hosts, names = _list(host), _list(name)
    entries = [e for e in entries if not hosts or e.id.partition("/")[0] in hosts]
    entries = [e for e in entries if not names or {e.id, e.id.rpartition("/")[2], e.id.removeprefix("user:"), e.subject} & set(names)]
    newest = {e.id: e.serial for e in entries}
    if json:
        say(encoder.dumps({"issued": [_data(e, now, newest[e.id] == e.serial) for e in entries]}, indent=1))
        return
    rows = [_row(e, now, newest[e.id] == e.serial) for e in entries]
    for line in _table([("SERIAL", "ID", "SUBJECT", "GROUPS", "EXPIRES", "WHEN", "WHO", "WHY"), *rows]):
        say(line)
    say(f"{len(entries)} signatures" + ("" if expired else " that have not expired"))


@task(auto_shortflags=False, help={"what": "a serial or its beginning, an id (m1/apiserver), or a subject (alice)", "cluster": CLUSTER_HELP})
@reported
def revoke(_: Context, what: str, cluster: str = "") -> None:
    """Say what can and cannot be done about a credential: what to drop, which CA to rotate, when it ends by itself. Changes nothing."""
    from kbootstrap.pki import inspect, revocation
    from kbootstrap.store import clock, pki_dir

    folder = find_folder(cluster)
    pki = pki_dir.load(folder.pki)
    issuers = {inspect.describe(ca.cert_pem).common_name: name for name, ca in pki.cas.items()}
    issuers |= {inspect.describe(pem).common_name: name for name, pem in pki.former.items() if name in pki.cas}
    found = revocation.matching(pki_dir.ledger(folder.pki), what)
    for line in revocation.advice(found, now=clock.now(), kubeconfig=str(folder.admin_conf), issuers=issuers):
        say(line)


def _data(entry: Issued, now: datetime, newest: bool) -> dict[str, object]:
    return {
        "serial": entry.serial,
        "id": entry.id,
        "issuer": entry.issuer,
        "subject": entry.subject,
        "groups": list(entry.groups),
        "not_after": entry.not_after.isoformat(),
        "expired": entry.not_after <= now,
        "newest": newest,
        "when": entry.when.isoformat(),
        "who": entry.who,
        "reason": entry.reason,
    }


def _row(entry: Issued, now: datetime, newest: bool) -> tuple[str, ...]:
    ends = f"{entry.not_after:%Y-%m-%d %H:%M}" + (" (expired)" if entry.not_after <= now else "" if newest else " (renewed since)")
    groups = ",".join(entry.groups) or "-"
    return entry.serial[:16], entry.id, entry.subject, groups, ends, f"{entry.when:%Y-%m-%d %H:%M}", entry.who, entry.reason


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
