"""The PKI as far as it can be read, and what a host may hold of it: looking must work with a damaged or a sealed one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from kbootstrap.catalog import names
from kbootstrap.errors import PkiError
from kbootstrap.model.pki import Pki
from kbootstrap.pki import rotate
from kbootstrap.store import pki_dir
from kbootstrap.store.folder import Folder


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPki:
    """*pki* is empty where there is none yet, and where it cannot be read: then *error* says why, and nothing on a host can be compared with it."""

    pki: Pki
    error: PkiError | None = None


def known_pki(folder: Folder) -> KnownPki:
    """What *folder* holds."""
    try:
        return KnownPki(pki=pki_dir.load(folder.pki))
    except PkiError as error:
        return KnownPki(pki=Pki(), error=error)


def ca_files_sha256(pki: Pki) -> tuple[str, ...]:
    """Of every file that a host may hold as the cluster's CA: what it should hold now first, then those of the last rotation's other phases; none
    where there is no CA yet: then one on a host is another's."""
    if names.CLUSTER_CA not in pki.cas:
        return ()
    texts = dict.fromkeys((pki.trust(names.CLUSTER_CA), *sorted(rotate.recognised(pki, names.CLUSTER_CA))))
    return tuple(hashlib.sha256(text).hexdigest() for text in texts)
