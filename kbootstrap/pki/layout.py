"""The names of files inside a PKI directory, so that an error names the file whoever finds the fault.

::

    ca/<name>.crt, ca/<name>.key       apart: the key may be taken away, and no run replaces either
    sa.key, sa.pub, encryption.key     encryption.key: 32 bytes in base64
    hosts/<host>/<name>.pem            key and certificate in one file: a rename replaces both, so no crash leaves a pair that does not match
    users/<name>.pem
    ledger.jsonl                       every signature ever made
"""

from __future__ import annotations

from typing import Final

SA_KEY: Final = "sa.key"
SA_PUB: Final = "sa.pub"
ENCRYPTION_KEY: Final = "encryption.key"
LEDGER: Final = "ledger.jsonl"
PREVIOUS: Final = ".previous"


def ca_cert(name: str) -> str:
    """The certificate of the CA called *name*."""
    return f"ca/{name}.crt"


def ca_key(name: str) -> str:
    """The key of the CA called *name*."""
    return f"ca/{name}.key"


def pair(profile_id: str) -> str:
    """The file of a profile's pair: ``m1/apiserver`` → ``hosts/m1/apiserver.pem``, ``admin`` → ``users/admin.pem``."""
    return f"hosts/{profile_id}.pem" if "/" in profile_id else f"users/{profile_id}.pem"


def profile_id(path: str) -> str:
    """The inverse of ``pair``."""
    return path.partition("/")[2].removesuffix(".pem")
