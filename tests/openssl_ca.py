"""A CA elsewhere, as an operator has one: the real openssl on its own folder, a root and an intermediate below it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

EXTENSIONS: Final = """\
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[intermediate]
basicConstraints = critical, CA:TRUE, pathlen:{pathlen}
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
{more}
"""
_AS_ASKED: Final = ("-copy_extensions", "copyall")
_CURVE: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-noenc")


def openssl(*arguments: str | Path, text: str = "") -> str:
    """Its output. CalledProcessError with what it complains about."""
    return subprocess.run(["openssl", *map(str, arguments)], input=text, capture_output=True, text=True, check=True, timeout=60).stdout


@dataclass(frozen=True, slots=True, kw_only=True)
class OpensslCa:
    """``root.crt`` and ``issuing.crt`` with their keys in *folder*; ``chain`` is what leaves are signed by, up to the root."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root.crt"

    @property
    def chain(self) -> Path:
        return self.folder / "chain.crt"

    @property
    def key(self) -> Path:
        return self.folder / "issuing.key"

    def sign(self, request: Path, target: Path, *, days: int = 90, by: str = "issuing", options: tuple[str, ...] = _AS_ASKED) -> Path:
        """*request* signed as it asks; *target* holds the certificate alone, as most CAs hand it out."""
        authority = ("-CA", self.folder / f"{by}.crt", "-CAkey", self.folder / f"{by}.key", "-CAcreateserial")
        openssl("x509", "-req", "-in", request, *authority, "-days", str(days), *options, "-out", target)
        return target


def made(folder: Path, name: str, *, pathlen: int = 0, days: int = 3650, more: str = "") -> OpensslCa:
    """A root called *name* and an intermediate below it, which lives *days* and whose extensions end with the line *more*."""
    folder.mkdir()
    config = folder / "extensions.cnf"
    config.write_text(EXTENSIONS.format(pathlen=pathlen, more=more))
    ca = OpensslCa(folder=folder)
    root = ("-x509", "-days", "7300", "-extensions", "root", "-subj", f"/O=Example/CN={name} root")
    (folder / "req.cnf").write_text(f"[req]\ndistinguished_name = dn\n[dn]\n{config.read_text()}")
    openssl("req", *root, *_CURVE, "-config", folder / "req.cnf", "-keyout", folder / "root.key", "-out", ca.root)
    subject = ("-subj", f"/O=Example/CN={name} issuing")
    openssl("req", "-new", *_CURVE, "-config", folder / "req.cnf", *subject, "-keyout", ca.key, "-out", folder / "issuing.csr")
    extensions = ("-extfile", str(config), "-extensions", "intermediate")
    ca.sign(folder / "issuing.csr", folder / "issuing.crt", days=days, by="root", options=extensions)
    ca.chain.write_text((folder / "issuing.crt").read_text() + ca.root.read_text())
    return ca
