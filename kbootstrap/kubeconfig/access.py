"""What the contexts of a kubeconfig give: which server, trusted by what, as whom."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Collection
from dataclasses import dataclass, field

from kbootstrap.errors import UsageError
from kbootstrap.kubeconfig.document import Document, named, owner_of, parse
from kbootstrap.model.pki import KeyPair


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One context, resolved: whoever it is comes with a certificate (*pair*) or with a *token*, the other one is empty."""

    context: str
    server: str
    ca_pem: bytes
    pair: KeyPair
    token: str = field(default="", repr=False)
    namespace: str = ""


def read(text: str, context: str = "") -> Access:
    """What *context* (the current one, when empty) gives. Raises UsageError when it leads nowhere, or to files instead of inline data."""
    document = parse(text)
    return _resolved(document, context or document.get("current-context") or "")


def contexts(text: str, owners: Collection[str]) -> tuple[str, ...]:
    """The names of the contexts of *text* that one of *owners* marked, in their order."""
    entries = named(parse(text), "contexts")
    return tuple(name for name, entry in entries.items() if owner_of(entry.get("context")) in owners)


def _resolved(document: Document, name: str) -> Access:
    try:
        chosen = named(document, "contexts")[name]["context"]
        cluster = named(document, "clusters")[chosen["cluster"]]["cluster"]
        user = named(document, "users")[chosen["user"]]["user"]
        token = str(user.get("token") or "")
        return Access(
            context=name,
            server=cluster["server"],
            ca_pem=b64decode(cluster["certificate-authority-data"]),
            pair=KeyPair(cert_pem=b"") if token else _pair(user),
            token=token,
            namespace=chosen.get("namespace", ""),
        )
    except (KeyError, TypeError, AttributeError, Base64Error) as error:
        raise UsageError(f"The kubeconfig's context {name!r} cannot be used: {error} is missing or wrong.") from error


def _pair(user: Document) -> KeyPair:
    return KeyPair(cert_pem=b64decode(user["client-certificate-data"]), key_pem=b64decode(user["client-key-data"]))
