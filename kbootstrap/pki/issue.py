"""What a cluster lacks is issued, and nothing else; the ten-minute certificate of the first binding. Pure: clock and randomness are arguments."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from kbootstrap.catalog import names
from kbootstrap.errors import PkiError, Problem, counted
from kbootstrap.model.cluster import Certificates, KeyType
from kbootstrap.model.pki import Entropy, Issued, KeyPair, Pki, Profile, Usage
from kbootstrap.pki import consistency, inspect, layout, sealing
from kbootstrap.pki.profiles import CAS
from kbootstrap.pki.sign import Signer, new_ca, record, signer, token_keys

CA_KEYS: Final = "the CA keys"  # what a passphrase is asked for
BREAK_GLASS_GROUP: Final = "system:masters"  # built into the API server: no RBAC can take it away
BOOTSTRAP: Final = Profile(
    name="bootstrap-admin",
    host=None,
    issuer=names.CLUSTER_CA,
    common_name="kbootstrap:bootstrap",
    organizations=(BREAK_GLASS_GROUP,),
    usages=(Usage.CLIENT,),
)
_Due = Sequence[tuple[Profile, str]]  # with the reason


def complete(
    pki: Pki, profiles: Iterable[Profile], *, now: datetime, certificates: Certificates, entropy: Entropy, anew: Collection[str] = ()
) -> tuple[Pki, tuple[Issued, ...]]:
    """*pki* with everything that *profiles* want: issues what is missing, wrong or about to expire, and keeps the rest byte for byte.

    Those whose ids are in *anew* are issued whatever their age.

    CAs, the service-account key and the encryption key are made only when *pki* is empty; a CA that the user gave is taken. Raises PkiError when
    one of them is missing beside other material, and when a CA would have to sign whose key is not here or which has expired; then nothing is
    issued at all.
    """
    now = now.replace(microsecond=0)
    issued: tuple[Issued, ...] = ()
    if pki.is_empty:
        pki, issued = _found(pki, now=now, certificates=certificates, entropy=entropy)
    if holes := consistency.holes(pki):
        raise PkiError("The PKI is incomplete; nothing was issued.", hint=str(holes[0]), problems=holes)
    due = [(p, why) for p in profiles if (why := _why(pki, p, anew, now, certificates))]
    signers = _signers(pki, due, now)
    pairs = dict(pki.pairs)
    for profile, why in due:
        pairs[profile.id], entry = signers[profile.issuer].sign(
            profile, now=now, life=timedelta(days=certificates.leaf_days), kind=certificates.key_type, entropy=entropy, reason=why
        )
        issued += (entry,)
    return replace(pki, pairs=pairs), issued


def _why(pki: Pki, profile: Profile, anew: Collection[str], now: datetime, certificates: Certificates) -> str:
    return inspect.reason(pki, profile, now=now, certificates=certificates) or ("asked for" if profile.id in anew else "")


def bootstrap_admin(pki: Pki, *, now: datetime, entropy: Entropy, minutes: int = 10) -> tuple[KeyPair, Issued]:
    """A certificate in ``system:masters`` for a few minutes: it makes the first RBAC bindings, and opens a cluster whose RBAC locked everybody out.

    The pair stays in memory; the record goes to the ledger (``store.pki_dir.record``) before the pair is used.
    """
    life = timedelta(minutes=minutes)
    return client(pki, BOOTSTRAP, now=now, life=life, kind=KeyType.ECDSA, entropy=entropy, reason=f"{BREAK_GLASS_GROUP} for {minutes} minutes")


def client(pki: Pki, profile: Profile, *, now: datetime, life: timedelta, kind: KeyType, entropy: Entropy, reason: str) -> tuple[KeyPair, Issued]:
    """A certificate that no PKI directory keeps, for *life*; its record goes to the ledger (``store.pki_dir.record``) before the pair is used."""
    now = now.replace(microsecond=0)
    ca = _signers(pki, [(profile, reason)], now)[profile.issuer]
    return ca.sign(profile, now=now, life=life, kind=kind, entropy=entropy, reason=reason)


def supplied_admin(pki: Pki, now: datetime) -> KeyPair | None:
    """The pair of BOOTSTRAP that was signed elsewhere (``certs.install``), while it is valid."""
    pair = pki.pairs.get(BOOTSTRAP.id)
    if pair is None or not inspect.is_signed_by(pair.cert_pem, pki.cas[BOOTSTRAP.issuer].cert_pem):
        return None
    found = inspect.describe(pair.cert_pem)
    return pair if found.not_before <= now < found.not_after else None


def unable_to_bind(pki: Pki, now: datetime) -> str:
    """Why the first bindings cannot be made; empty when they can. A locked key is opened to see; PkiError when it does not open."""
    if supplied_admin(pki, now):
        return ""
    why = _unable(pki, BOOTSTRAP.issuer, now)
    if not why:
        _signer(pki, BOOTSTRAP.issuer)
    return why


def _found(pki: Pki, *, now: datetime, certificates: Certificates, entropy: Entropy) -> tuple[Pki, tuple[Issued, ...]]:
    """What a cluster begins with: its CAs, the key that signs service-account tokens, the key that encrypts secrets at rest."""
    life = timedelta(days=certificates.ca_days)
    if waiting := [name for name, ca in pki.given.items() if not ca.cert_pem]:
        what = f"the request for the CA {waiting[0]} waits for its certificate, and no other is made in its place"
        raise PkiError(what, hint="`invoke certs.install FILE…` takes it.")
    made = {name: new_ca(name, now=now, life=life, kind=certificates.key_type, entropy=entropy) for name in CAS if name not in pki.given}
    made |= {name: (ca, record(name, ca.cert_pem, now, "given by the user")) for name, ca in pki.given.items()}
    tokens = token_keys(entropy.key(certificates.key_type))
    found = replace(pki, cas={name: made[name][0] for name in CAS}, sa_key=tokens.key_pem, sa_pub=tokens.cert_pem, given={})
    return replace(found, sealing=sealing.first(entropy)), tuple(made[name][1] for name in CAS)


def _signers(pki: Pki, due: _Due, now: datetime) -> Mapping[str, Signer]:
    """The CAs that must sign, ready; PkiError with every signature that is blocked when one cannot."""
    needed = dict.fromkeys(profile.issuer for profile, _ in due)
    faults = {name: fault for name in needed if (fault := _unable(pki, name, now))}
    if faults:
        blocked = [Problem(where=p.id, what=f"cannot be issued: {faults[p.issuer]} ({why})") for p, why in due if p.issuer in faults]
        raise PkiError(
            f"{counted(len(blocked), 'certificate')} cannot be issued: {'; '.join(faults.values())}.",
            hint="Bring the key back, or have them signed where it is: `invoke certs.csr`. What needs no new certificate still works.",
            problems=blocked,
        )
    return {name: _signer(pki, name) for name in needed}


def _signer(pki: Pki, name: str) -> Signer:
    try:
        return signer(pki.cas[name], lambda: pki.unlock(CA_KEYS))
    except PkiError as error:
        raise PkiError(f"{layout.ca_key(name)}: {error.message}", hint=error.hint) from error


def _unable(pki: Pki, name: str, now: datetime) -> str:
    """Why the CA called *name* cannot sign; empty when it can."""
    if not pki.cas[name].key_pem:
        return f"the key of the CA {name} ({layout.ca_key(name)}) is not here"
    if inspect.ends(pki.cas[name].cert_pem) <= now:
        return f"the CA {name} ({layout.ca_cert(name)}) has expired"
    return ""
