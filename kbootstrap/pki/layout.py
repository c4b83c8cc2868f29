"""What lies where inside a PKI directory, and a PKI as files and back: pure, so that an error names the file whoever finds the fault.

::

    ca/<name>.crt, ca/<name>.key       apart: the key may be taken away; only a rotation replaces either
    ca/<name>.next.crt, .next.key      its successor: trusted, not signing yet
    ca/<name>.former.crt               its predecessor: still trusted; .retired.crt: trusted no more
    ca/<name>.given.crt, .given.key    what the user gave for a cluster that has not begun; the key alone while a request is open
    sa.key, sa.pub                     sa.next.key, sa.next.pub, sa.former.pub, sa.retired.pub: as with a CA
    encryption.key                     seals secrets in etcd (``pki.sealing``); encryption.next.key, .former.key, .retired.key (a line each)
    hosts/<host>/<name>.pem            key and certificate in one file: a rename replaces both, so no crash leaves a pair that does not match
    users/<name>.pem
    hosts/…, users/<name>.pending.key  the key of a request that waits for its certificate
    ledger.jsonl                       every signature ever made
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kbootstrap.model.pki import SERVICE_ACCOUNT, KeyPair, Pki
from kbootstrap.model.sealing import Sealing, SealKey
from kbootstrap.pki import inspect, sealing

SA_KEY: Final = "sa.key"
SA_PUB: Final = "sa.pub"
LEDGER: Final = "ledger.jsonl"
PREVIOUS: Final = ".previous"
NEXT: Final = ".next"
FORMER: Final = ".former"
RETIRED: Final = ".retired"
GIVEN: Final = ".given"
_PENDING: Final = ".pending.key"


def ca_cert(name: str, which: str = "") -> str:
    """The certificate of the CA called *name*, or of its successor or predecessor; the public key of SERVICE_ACCOUNT."""
    return f"sa{which}.pub" if name == SERVICE_ACCOUNT else f"ca/{name}{which}.crt"


def ca_key(name: str, which: str = "") -> str:
    """The key that belongs to ``ca_cert``."""
    return f"sa{which}.key" if name == SERVICE_ACCOUNT else f"ca/{name}{which}.key"


def pair(profile_id: str) -> str:
    """The file of a profile's pair: ``m1/apiserver`` → ``hosts/m1/apiserver.pem``, ``admin`` → ``users/admin.pem``."""
    return f"hosts/{profile_id}.pem" if "/" in profile_id else f"users/{profile_id}.pem"


def profile_id(path: str) -> str:
    """The inverse of ``pair``."""
    return path.partition("/")[2].removesuffix(".pem")


def pending(profile_id: str) -> str:
    """The key of the request for a profile's certificate."""
    return pair(profile_id).removesuffix(".pem") + _PENDING


def encryption_key(which: str = "") -> str:
    """The file of the key that seals secrets, or of its successor or predecessors."""
    return f"encryption{which}.key"


def assemble(contents: Mapping[str, bytes]) -> Pki:
    """Path inside the directory → content, as a PKI. ValueError when a key that seals secrets is none."""
    return Pki(
        cas=_pairs(contents, ""),
        pairs={profile_id(path): inspect.split(text) for path, text in contents.items() if path.endswith(".pem")},
        sa_key=contents.get(SA_KEY, b""),
        sa_pub=contents.get(SA_PUB, b""),
        sealing=_sealing(contents),
        upcoming=_pairs(contents, NEXT),
        former={name: ca.cert_pem for name, ca in _pairs(contents, FORMER).items()},
        retired={name: ca.cert_pem for name, ca in _pairs(contents, RETIRED).items()},
        given=_given(contents),
        pending={profile_id(path.removesuffix(_PENDING)): text for path, text in contents.items() if path.endswith(_PENDING)},
    )


def lay_out(pki: Pki) -> dict[str, bytes]:
    """The inverse of ``assemble``."""
    files = {ca_cert(name): ca.cert_pem for name, ca in pki.cas.items()}
    files |= {ca_key(name): ca.key_pem for name, ca in pki.cas.items() if ca.key_pem}
    files |= {ca_cert(name, NEXT): ca.cert_pem for name, ca in pki.upcoming.items()}
    files |= {ca_key(name, NEXT): ca.key_pem for name, ca in pki.upcoming.items() if ca.key_pem}
    files |= {ca_cert(name, FORMER): text for name, text in pki.former.items()}
    files |= {ca_cert(name, RETIRED): text for name, text in pki.retired.items()}
    files |= {ca_cert(name, GIVEN): ca.cert_pem for name, ca in pki.given.items()}
    files |= {ca_key(name, GIVEN): ca.key_pem for name, ca in pki.given.items()}
    files |= {SA_KEY: pki.sa_key, SA_PUB: pki.sa_pub}
    files |= {path: sealing.dump(keys) for path, keys in sealing_keys(pki.sealing).items()}
    files |= {pair(profile_id): both.combined for profile_id, both in pki.pairs.items()}
    files |= {pending(profile_id): key_pem for profile_id, key_pem in pki.pending.items()}
    return {path: content for path, content in files.items() if content}


def sealing_keys(found: Sealing) -> dict[str, tuple[SealKey | None, ...]]:
    """File → the keys that lie there."""
    one = {"": found.writer, NEXT: found.upcoming, FORMER: found.former}
    return {**{encryption_key(which): (key,) for which, key in one.items()}, encryption_key(RETIRED): found.retired}


def _sealing(contents: Mapping[str, bytes]) -> Sealing:
    keys = {which: sealing.parse(contents.get(encryption_key(which), b"")) for which in ("", NEXT, FORMER, RETIRED)}
    if many := [encryption_key(which) for which, found in keys.items() if which != RETIRED and len(found) > 1]:
        raise ValueError(f"{', '.join(many)} holds several keys")
    writer, upcoming, former = (next(iter(keys[which]), None) for which in ("", NEXT, FORMER))
    return Sealing(writer=writer, upcoming=upcoming, former=former, retired=keys[RETIRED])


def _pairs(contents: Mapping[str, bytes], which: str) -> dict[str, KeyPair]:
    """The CAs whose files carry the mark *which*; SERVICE_ACCOUNT among them where there is a mark."""
    found = {}
    for path, text in contents.items():
        if which and path == ca_cert(SERVICE_ACCOUNT, which):
            found[SERVICE_ACCOUNT] = KeyPair(cert_pem=text, key_pem=contents.get(ca_key(SERVICE_ACCOUNT, which), b""))
        name, mark = _ca_of(path)
        if name and mark == which:
            found[name] = KeyPair(cert_pem=text, key_pem=contents.get(ca_key(name, which), b""))
    return found


def _given(contents: Mapping[str, bytes]) -> dict[str, KeyPair]:
    """What the user gave: a certificate, a key, or both."""
    end = f"{GIVEN}.key"
    found = {path[3:].removesuffix(end): KeyPair(cert_pem=b"", key_pem=text) for path, text in contents.items() if path.endswith(end)}
    return found | _pairs(contents, GIVEN)


def _ca_of(path: str) -> tuple[str, str]:
    """``ca/etcd-ca.next.crt`` → ("etcd-ca", ".next"); ("", "") for what is no CA's certificate."""
    if not (path.startswith("ca/") and path.endswith(".crt")):
        return "", ""
    name, dot, mark = path.removeprefix("ca/").removesuffix(".crt").partition(".")
    return name, dot + mark
