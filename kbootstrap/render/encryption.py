"""Encryption at rest: what etcd holds of secrets is sealed with the cluster's own key."""

from __future__ import annotations

import base64
from collections.abc import Iterable

from kbootstrap.model.sealing import SealKey
from kbootstrap.render.env import to_yaml


def encryption_config(readers: Iterable[SealKey]) -> str:
    """The EncryptionConfiguration in which the first of *readers* seals, and all open. No ``identity``: nothing was ever written in clear."""
    keys = [{"name": key.name, "secret": base64.b64encode(key.secret).decode()} for key in readers]
    return to_yaml(
        {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "EncryptionConfiguration",
            "resources": [{"resources": ["secrets"], "providers": [{"secretbox": {"keys": keys}}]}],
        }
    )
