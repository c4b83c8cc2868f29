"""The PKI as far as it can be read, and what a host may hold of it: looking must work with a damaged one."""

from __future__ import annotations

import hashlib

from kbootstrap.catalog import names
from kbootstrap.errors import PkiError
from kbootstrap.model.pki import Pki
from kbootstrap.pki import rotate
from kbootstrap.store import pki_dir
from kbootstrap.store.folder import Folder


def ca_sha256(folder: Folder) -> tuple[str, ...]:
    """Of every file that a host may hold as our CA; none where there is none yet: then a CA on a host is another's."""
    try:
        return ca_files_sha256(pki(folder))
    except KeyError:
        return ()


def pki(folder: Folder) -> Pki:
    """What *folder* holds; ``Pki()`` where it cannot be read, too."""
    try:
        return pki_dir.load(folder.pki)
    except PkiError:
        return Pki()


def ca_files_sha256(pki: Pki) -> tuple[str, ...]:
    """Of every file that a host may hold as the cluster's CA: what it should hold now first, then those of the last rotation's other phases."""
    texts = dict.fromkeys((pki.trust(names.CLUSTER_CA), *sorted(rotate.recognised(pki, names.CLUSTER_CA))))
    return tuple(hashlib.sha256(text).hexdigest() for text in texts)
