"""Encryption at rest: what etcd holds of secrets is sealed with the cluster's own key."""

from __future__ import annotations

import base64

from kbootstrap.render.env import to_yaml


def encryption_config(key: bytes) -> str:
    """The EncryptionConfiguration for *key* (32 bytes, secretbox). No ``identity`` provider: nothing was ever written in clear."""
    keys = [{"name": "key1", "secret": base64.b64encode(key).decode()}]
    return to_yaml(
        {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "EncryptionConfiguration",
            "resources": [{"resources": ["secrets"], "providers": [{"secretbox": {"keys": keys}}]}],
        }
    )
