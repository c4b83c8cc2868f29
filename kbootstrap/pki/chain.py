"""Chains of certificates: who signs first, the root last. In which order, and what is wrong with one.

RFC 5280, 6.1 is what ``faults`` judges by, with what Go's verifier adds (extended key usages bind all that is below, too). The time is judged
where there is one: a directory with an expired CA must still be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import pairwise

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from kbootstrap.pki import inspect


def ordered(first: bytes, others: Iterable[bytes]) -> tuple[bytes, ...]:
    """*first*, its issuer among *others*, that one's issuer …: to a root, or as far as they lead."""
    found = [first]
    pool = [other for other in dict.fromkeys(others) if other != first]
    while not is_root(found[-1]) and (issuer := next((p for p in pool if inspect.is_signed_by(found[-1], p)), None)):
        pool.remove(issuer)
        found.append(issuer)
    return tuple(found)


def is_root(pem: bytes) -> bool:
    """Whether the first certificate of *pem* signed itself."""
    return inspect.is_signed_by(pem, pem)


def faults(ca_pem: bytes, *, now: datetime | None = None) -> Iterator[str]:
    """What keeps the chain *ca_pem* from signing leaves that its root's verifiers accept, each as the rest of a sentence about the file.

    *now*: whether each is valid then, too. Raises PkiError when it cannot be read.
    """
    certs = inspect.blocks(ca_pem)
    links = [fault for depth, pem in enumerate(certs) for fault in _link_faults(pem, depth)]
    yield from links
    if links:
        return  # what follows would only say the same in other words
    if now is not None:
        for pem in certs:
            yield from _time_faults(pem, now)
    for one, above in pairwise(certs):
        if not inspect.is_signed_by(one, above):
            yield f"is no chain: {_title(one)} was signed by «{inspect.describe(one).issuer}», and {_title(above)} follows."
    if not is_root(certs[-1]):
        yield f"does not end with a root: {_title(certs[-1])} was signed by «{inspect.describe(certs[-1]).issuer}», which is missing."
    elif early := next((pem for pem in certs[:-1] if is_root(pem)), None):
        yield f"goes on behind its root {_title(early)}."


def _link_faults(pem: bytes, depth: int) -> Iterator[str]:
    """*depth* is how many certificates of CAs stand below it, the leaf not counted."""
    extensions = inspect.certificate(pem).extensions
    found = [e.value for e in extensions if isinstance(e.value, x509.BasicConstraints)]
    if not found or not found[0].ca:
        yield f"holds {_title(pem)}, which is not the certificate of a CA." if depth else "is not the certificate of a CA."
        return
    limit = found[0].path_length
    if limit is not None and limit < depth:
        yield f"holds {_title(pem)}, which allows {limit} CAs below it (path length), and {depth} follow."
    for value in (extension.value for extension in extensions):
        if isinstance(value, x509.KeyUsage) and not value.key_cert_sign:
            yield f"holds {_title(pem)}, whose key usage does not allow it to sign certificates."
        if isinstance(value, x509.ExtendedKeyUsage) and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in value:
            lacks = [str(usage) for usage, oid in inspect.USAGE_OIDS.items() if oid not in value]
            if lacks:
                yield f"holds {_title(pem)}, whose extended key usages lack {' and '.join(lacks)}: nothing below it may be shown so."
        if isinstance(value, x509.NameConstraints) and value.permitted_subtrees:
            yield f"holds {_title(pem)}, whose name constraints do not permit the names of a cluster (kubernetes.default.svc, 127.0.0.1)."


def _time_faults(pem: bytes, now: datetime) -> Iterator[str]:
    found = inspect.describe(pem)
    if found.not_after <= now:
        yield f"holds {_title(pem)}, which expired on {found.not_after:%Y-%m-%d}."
    if found.not_before > now:
        yield f"holds {_title(pem)}, which is not valid before {found.not_before:%Y-%m-%d %H:%M} UTC."


def _title(pem: bytes) -> str:
    return f"«{inspect.describe(pem).common_name or inspect.certificate(pem).subject.rfc4514_string()}»"
