"""Whether a PKI fits together at all: nothing missing that cannot be made anew, every key with its certificate, every certificate from a CA of ours.

What is wrong here is never mended by a run. A directory in which a CA or a key is missing or foreign was damaged or mixed up by hand, and to
sign on top of that would cut a living cluster in two.
"""

from __future__ import annotations

from collections.abc import Iterator

from kbootstrap.errors import PkiError, Problem
from kbootstrap.model.pki import SERVICE_ACCOUNT, KeyPair, Pki
from kbootstrap.pki import chain, inspect, layout, locked, sealing
from kbootstrap.pki.profiles import CAS

_RESTORE = "Restore it from a backup; it is never made anew beside an existing cluster."
_GIVE_AGAIN = "Remove it with its key, and give it again: `invoke certs.install --ca`."
_REISSUE = "Remove that file, and the next run issues a new one."


def holes(pki: Pki) -> tuple[Problem, ...]:
    """What is missing and may not be made anew. A CA's key may be absent, leaves are made anew."""
    if pki.is_empty and pki.given:
        return ()  # the cluster has not begun
    there = {
        **{layout.ca_cert(name): name in pki.cas for name in CAS},
        layout.SA_KEY: bool(pki.sa_key),
        layout.SA_PUB: bool(pki.sa_pub),
        layout.encryption_key(): pki.sealing.writer is not None,
    }
    return tuple(Problem(where=path, what="is missing.", hint=_RESTORE) for path, present in there.items() if not present)


def damage(pki: Pki) -> tuple[Problem, ...]:
    """Everything that does not fit together; ``where`` is the file inside the PKI directory."""
    found = list(holes(pki))
    for name, ca in pki.cas.items():
        found += _about(layout.ca_cert(name), _RESTORE, _ca_faults(name, ca))
    for name, ca in pki.given.items():
        found += _about(layout.ca_cert(name, layout.GIVEN), _GIVE_AGAIN, _ca_faults(name, ca, layout.GIVEN) if ca.cert_pem else iter(()))
    for name, ca in pki.upcoming.items():
        faults = (_token_faults if name == SERVICE_ACCOUNT else _ca_faults)(name, ca, layout.NEXT)
        found += _about(layout.ca_cert(name, layout.NEXT), _RESTORE, faults)
    if pki.sa_key and pki.sa_pub:
        found += _about(layout.SA_PUB, _RESTORE, _token_faults(SERVICE_ACCOUNT, KeyPair(cert_pem=pki.sa_pub, key_pem=pki.sa_key)))
    found += [problem for path, keys in layout.sealing_keys(pki.sealing).items() for problem in sealing.faults(path, keys)]
    ca_pems = [*(ca.cert_pem for ca in pki.cas.values()), *(text for name, text in pki.former.items() if name != SERVICE_ACCOUNT)]
    for profile_id, pair in pki.pairs.items():
        found += _about(layout.pair(profile_id), _REISSUE, _pair_faults(pair, ca_pems))
    return tuple(found)


def _about(path: str, hint: str, faults: Iterator[str]) -> list[Problem]:
    """*faults* is a generator: what it meets while it reads becomes a fault too."""
    try:
        return [Problem(where=path, what=fault, hint=hint) for fault in faults]
    except PkiError as error:
        return [Problem(where=path, what=f"{error.message}.", hint=hint)]


def _ca_faults(name: str, ca: KeyPair, which: str = "") -> Iterator[str]:
    """A key under a passphrase is compared when it is opened (``sign.signer``)."""
    yield from chain.faults(ca.cert_pem)
    if ca.key_pem and not locked.is_locked(ca.key_pem) and not inspect.key_matches(ca):
        yield f"does not belong to the key in {layout.ca_key(name, which)}."


def _token_faults(name: str, keys: KeyPair, which: str = "") -> Iterator[str]:
    if not inspect.public_key_matches(keys.key_pem, keys.cert_pem):
        yield f"does not belong to the key in {layout.ca_key(name, which)}."


def _pair_faults(pair: KeyPair, ca_pems: list[bytes]) -> Iterator[str]:
    if not pair.cert_pem or not pair.key_pem:
        yield f"holds no {'private key' if pair.cert_pem else 'certificate'}."
    elif not inspect.key_matches(pair):
        yield "holds a key that does not belong to its certificate."
    elif not any(inspect.is_signed_by(pair.cert_pem, ca_pem) for ca_pem in ca_pems):
        yield f"was signed by {inspect.describe(pair.cert_pem).issuer}, which is no CA of this directory."
