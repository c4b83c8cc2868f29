"""The keys that API servers have are among ours: under another key alone, every secret that etcd holds would be unreadable."""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.catalog import paths
from kbootstrap.plan.checks.finding import Context, Finding


def check(context: Context) -> Iterator[Finding]:
    known = {key.fingerprint for key in context.sealing.known}
    for seen in context.hosts() if known else ():
        if strange := [key for key in seen.survey.seal_keys if key not in known]:
            what = f"secrets are sealed by a key that this PKI does not have ({', '.join(strange)}; it has {', '.join(sorted(known))})"
            hint = "Put encryption.key of a backup back. A key is changed by invoke secrets.rotate, never by hand."
            yield Finding(check="encryption-key", host=seen.name, what=what, hint=hint, evidence=f"{paths.ENCRYPTION_CONFIG}: sha256 of its keys")
