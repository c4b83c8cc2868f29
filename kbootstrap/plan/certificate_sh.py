"""What a host is asked about its certificates, and what it answers. No key leaves it: the host's own tools say which public key each has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from kbootstrap.catalog import paths
from kbootstrap.model.pki import SERVICE_ACCOUNT
from kbootstrap.pki.profiles import PLACES
from kbootstrap.resources import service, stat
from kbootstrap.resources.difference import sh
from kbootstrap.resources.stat import Stat
from kbootstrap.rolebook.certificates import Held, Part

# Certificates alone leave the host, never what stands beside them in the same file.
_CERTIFICATES: Final = """\
for f in {pki}/*.crt {pki}/*.pem {etcd}/*.crt; do
  [ ! -f "$f" ] || {{ echo "file $f"; sed -n '/-----BEGIN CERTIFICATE/,/-----END CERTIFICATE/p' "$f"; }}
done
for f in {configs}/*.conf; do
  [ ! -f "$f" ] || {{ echo "file $f"; sed -n 's/^ *client-certificate-data: *//p' "$f" | tr -d '"' | base64 -d; echo; }}
done
"""
CERTIFICATES: Final = _CERTIFICATES.format(pki=paths.PKI, etcd=paths.ETCD_PKI, configs=paths.KUBERNETES)

_AUTHORITIES: Final = """\
for f in {configs}; do
  [ ! -f "$f" ] || {{ echo "file $f"; sed -n 's/^ *certificate-authority-data: *//p' "$f" | tr -d '"' | base64 -d; echo; }}
done
"""

# Whoever runs sshd has ssh-keygen. Where neither is, the digest of the whole file is all that can be compared.
_KEYS: Final = """\
if command -v openssl >/dev/null 2>&1; then public() {{ openssl pkey -pubout; }}
elif command -v ssh-keygen >/dev/null 2>&1; then public() {{ ssh-keygen -y -f /dev/stdin; }}
else echo blind; public() {{ cat >/dev/null; }}
fi
for f in {keys}; do
  [ ! -f "$f" ] || {{ echo "file $f"; sed -n '/-----BEGIN [A-Z ]*PRIVATE KEY/,/-----END [A-Z ]*PRIVATE KEY/p' "$f" | public 2>/dev/null; }}
done
for f in {configs}; do
  [ ! -f "$f" ] || {{ echo "file $f"; sed -n 's/^ *client-key-data: *//p' "$f" | tr -d '"' | base64 -d | public 2>/dev/null; }}
done
[ ! -f {tokens} ] || {{ echo "file {tokens}"; cat {tokens}; }}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One host's answer; keys of the maps are paths, *started* is of active units: what each was started with, path → sha256."""

    files: Mapping[str, Stat] = field(default_factory=dict)
    certificates: Mapping[str, bytes] = field(default_factory=dict)  # PEM; of a kubeconfig the client's
    authorities: Mapping[str, bytes] = field(default_factory=dict)  # kubeconfig → the CA in it
    keys: Mapping[str, bytes] = field(default_factory=dict)  # file with a key → its public key; b"" if that could not be told
    blind: bool = False  # the host has no tool that tells a public key
    started: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def sections(held: Sequence[Held], units: Sequence[str]) -> list[tuple[str, str]]:
    """(id, sh text) of the one read of a host whose files are *held*."""
    configs = [each.file.name for each in held if each.part is Part.CONFIG]
    keys = [each.file.name for each in held if each.part in (Part.KEY, Part.BOTH)]
    asked = [
        ("files", stat.probe([each.file.name for each in held], hashes=True)),
        ("certificates", CERTIFICATES),
        ("authorities", _AUTHORITIES.format(configs=sh(*configs))),
        ("keys", _KEYS.format(keys=sh(*keys), configs=sh(*configs), tokens=PLACES[SERVICE_ACCOUNT].cert)),
    ]
    return [*asked, ("units", service.probe(units))] if units else asked


def parse(answers: Mapping[str, str]) -> Seen:
    """Section → output, as a value; a section that is missing is empty."""
    units = service.parse(answers.get("units", ""))
    keys = answers.get("keys", "")
    return Seen(
        files=stat.parse(answers.get("files", "")),
        certificates=dict(files(answers.get("certificates", ""))),
        authorities=dict(files(answers.get("authorities", ""))),
        keys=dict(files(keys)),
        blind=keys.startswith("blind\n"),
        started={name: unit.started for name, unit in units.items() if unit.active and unit.started},
    )


def files(output: str) -> Iterator[tuple[str, bytes]]:
    """(path, content) of what follows each ``file <path>``."""
    for part in re.split(r"^file ", output, flags=re.MULTILINE)[1:]:
        path, _, text = part.partition("\n")
        yield path, text.strip().encode()
