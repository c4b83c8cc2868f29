"""Clusters and their PKI for tests: valid, small, the same at every run."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network
from itertools import count
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from kbootstrap.model.cluster import ClusterSpec, KeyType, Network
from kbootstrap.model.host import Host, Role, Ssh
from kbootstrap.model.pki import Pki
from kbootstrap.pki import issue
from kbootstrap.pki.profiles import profiles
from kbootstrap.store.entropy import SystemEntropy

THE_DAY = datetime(2026, 1, 1, tzinfo=UTC)
"""When everything that ``a_pki`` makes was issued."""


def a_cluster(masters: int = 3, workers: int = 2, **kw: Any) -> ClusterSpec:
    """m1 … (10.77.0.11 …) and w1 … (10.77.0.21 …); *kw* replaces fields of the spec (``network=…``, ``hosts=…``)."""
    hosts = [a_host(f"m{n}", f"10.77.0.{10 + n}", Role.MASTER) for n in range(1, masters + 1)]
    hosts += [a_host(f"w{n}", f"10.77.0.{20 + n}", Role.WORKER) for n in range(1, workers + 1)]
    spec = ClusterSpec(
        name="lab",
        kubernetes="1.36.3",
        versions={},
        network=Network(pods=IPv4Network("10.244.0.0/16"), services=IPv4Network("10.96.0.0/16")),
        hosts=tuple(hosts),
    )
    return replace(spec, **kw)


def a_host(name: str, address: str, *roles: Role, **kw: Any) -> Host:
    """A host that logs in as root at its own address; *kw* replaces its fields."""
    host = Host(name=name, address=IPv4Address(address), roles=frozenset(roles), ssh=Ssh(user="root", host=address))
    return replace(host, **kw)


class SameEntropy:
    """``model.pki.Entropy`` that gives the same keys and serials at every run. RSA keys are real random ones: none can be derived quickly."""

    def __init__(self, seed: str = "kbootstrap") -> None:
        self._seed = seed
        self._turn = count()

    def key(self, kind: KeyType) -> bytes:
        """The next key."""
        if kind is KeyType.RSA:
            return SystemEntropy().key(kind)
        secret = int.from_bytes(self.random(31)) + 1  # 31 bytes: below the order of P-256
        return ec.derive_private_key(secret, ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def random(self, size: int) -> bytes:
        """The next *size* bytes, 64 at most."""
        return (sha256(f"{self._seed} {next(self._turn)}".encode()).digest() * 2)[:size]


@cache
def a_pki(masters: int = 3, workers: int = 2) -> Pki:
    """The complete PKI of ``a_cluster(masters, workers)``, issued on THE_DAY."""
    spec = a_cluster(masters, workers)
    return issue.complete(Pki(), profiles(spec), now=THE_DAY, certificates=spec.certificates, entropy=SameEntropy())[0]
