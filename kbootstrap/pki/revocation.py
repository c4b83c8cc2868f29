"""What «revoke» can and cannot do. Kubernetes asks no list of revoked certificates: who holds one and its key is known by it until it expires.

What stops somebody before that is what the name may do (RBAC), or that nobody trusts the signature any more (the CA is rotated).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from shlex import quote

from kbootstrap.catalog import names
from kbootstrap.errors import UsageError
from kbootstrap.model.certificate import rotation
from kbootstrap.model.pki import Issued
from kbootstrap.pki.issue import BREAK_GLASS_GROUP

_ACCOUNT = "system:serviceaccount:"


def matching(ledger: Iterable[Issued], text: str) -> tuple[Issued, ...]:
    """The entries that *text* means: a serial (or its beginning, 8 digits at least), an id, a subject, or the bare name of a user or account.

    UsageError when it means none.
    """
    entries = tuple(ledger)
    word = text.lower().replace(":", "").removeprefix("0x").lstrip("0")
    by_serial = [e for e in entries if e.serial == word or (len(word) >= 8 and e.serial.startswith(word))]
    found = by_serial or [e for e in entries if text in (e.id, e.subject)] or [e for e in entries if text in _names(e)]
    if not found:
        raise UsageError(f"the ledger knows no {text}", hint="`invoke certs.issued --expired` lists serials, ids and subjects.")
    return tuple(found)


def _names(entry: Issued) -> tuple[str, str]:
    """As ``kubeconfig.user --name`` was told, and as an id of that kind."""
    name = entry.subject.removeprefix(_ACCOUNT).rpartition(":")[2] if entry.subject.startswith(_ACCOUNT) else entry.subject
    return name, f"user:{name}"


def advice(entries: Iterable[Issued], *, now: datetime, kubeconfig: str, issuers: dict[str, str]) -> Iterator[str]:
    """What can be done about *entries*, as lines; *kubeconfig* is the operator's file, *issuers* a CA's common name → its name here."""
    living = []
    for entry in entries:
        ends = f"{entry.not_after:%Y-%m-%d %H:%M} UTC"
        if entry.not_after <= now:
            yield f"{entry.id} {entry.serial[:16]}: expired by itself on {ends}; nobody accepts it any more."
        else:
            yield f"{entry.id} {entry.serial[:16]}: accepted until {ends} ({_span(entry.not_after - now)} from now)."
            living.append(entry)
    yield from _about(living, f"kubectl --kubeconfig {quote(kubeconfig)}", issuers)


def _about(living: list[Issued], kubectl: str, issuers: dict[str, str]) -> Iterator[str]:
    """What stops those that are still accepted: each subject once, each CA once."""
    for entry in {e.subject: e for e in living}.values():
        yield ""
        yield from _subject(entry, kubectl, issuers.get(entry.issuer, ""))
    cas = dict.fromkeys(issuers[e.issuer] for e in living if e.issuer in issuers)
    if cas:
        yield ""
        yield "What ends it for certain is that its signature is trusted no more; every other certificate of that CA is issued anew, nothing stops:"
        yield from (f"  {rotation(ca)}" for ca in cas)
    strange = [e for e in living if e.issuer not in issuers and not e.subject.startswith(_ACCOUNT)]
    if strange:
        yield ""
        yield from (f"{e.id}: its CA ({e.issuer}) is none of this cluster's now: nobody here trusts it." for e in strange)


def _subject(entry: Issued, kubectl: str, ca: str) -> Iterator[str]:
    who = entry.subject
    if who.startswith(_ACCOUNT):
        space, _, account = who.removeprefix(_ACCOUNT).partition(":")
        yield f"{who} is a token: every token of the service account ends with it."
        yield f"  {kubectl} -n {quote(space)} delete serviceaccount {quote(account)}"
        return
    if ca != names.CLUSTER_CA:
        yield f"{who} is no user of the API: no RBAC is between it and what it opens{_what(ca)}."
        return
    if BREAK_GLASS_GROUP in entry.groups:
        yield f"{who} is in {BREAK_GLASS_GROUP}: the API server lets it do anything, and no RBAC can take that away."
        return
    if who.startswith(("system:", "kube-apiserver", "kbootstrap:")) or who in (names.ADMIN_USER,):
        yield f"{who} is the cluster's own: what it may do, its successors must be able to do. Taking its rights away stops the cluster."
        return
    yield f"{who} can be left without rights. It stays a known user, in the groups {', '.join(entry.groups) or '(none)'} and system:authenticated."
    wanted = " ".join(f"-e {quote(word)}" for word in (who, *entry.groups))
    yield "  1. which bindings name it or its groups (a group's binding is its other members', too):"
    yield f"     {kubectl} get clusterrolebindings,rolebindings -A -o wide | grep -wF {wanted}"
    yield "  2. drop each of them:"
    yield f"     {kubectl} delete clusterrolebinding NAME"
    yield f"     {kubectl} -n NAMESPACE delete rolebinding NAME"
    as_groups = "".join(f" --as-group {quote(group)}" for group in entry.groups)
    yield "  3. what it may still do:"
    yield f"     {kubectl} auth can-i --list --as {quote(who)}{as_groups}"


def _what(ca: str) -> str:
    return {names.ETCD_CA: " (etcd: all data)", names.FRONT_PROXY_CA: " (it speaks to the API server for any user)"}.get(ca, "")


def _span(left: timedelta) -> str:
    hours = left / timedelta(hours=1)
    return f"{hours / 24:.0f} days" if hours >= 48 else f"{hours:.0f} hours" if hours >= 2 else f"{hours * 60:.0f} minutes"
