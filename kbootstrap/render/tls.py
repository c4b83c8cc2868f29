"""Which TLS our servers speak: 1.2 with forward secrecy and authenticated encryption, or 1.3. Names are Go's, in the order of preference."""

from __future__ import annotations

from typing import Final

# Go has no switch for TLS 1.3's suites; they are named because auditors compare the list with their own.
SUITES_13: Final = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
SUITES_12: Final = (
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
)
SUITES: Final = SUITES_13 + SUITES_12
MIN_VERSION: Final = "VersionTLS12"
