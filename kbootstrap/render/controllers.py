"""What controller manager and scheduler have in common: loopback only, certificates of ours, the API server of their own host."""

from __future__ import annotations

from kbootstrap.catalog import paths
from kbootstrap.catalog.ports import Port
from kbootstrap.render import tls
from kbootstrap.render.systemd import credential


def credentials(name: str) -> dict[str, str]:
    """Credential name → file on the host, of the component whose certificate and kubeconfig are called *name*."""
    return {
        "ca.crt": paths.CA,
        "front-proxy-ca.crt": paths.FRONT_PROXY_CA,
        f"{name}.crt": paths.certificate(name),
        f"{name}.key": paths.key(name),
        f"{name}.conf": paths.kubeconfig(name),
    }


def flags(name: str, port: Port) -> dict[str, object]:
    """The flags that both take alike."""
    kubeconfig = credential(f"{name}.conf")
    return {
        "kubeconfig": kubeconfig,
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "bind-address": "127.0.0.1",
        "secure-port": port.number,
        "tls-cert-file": credential(f"{name}.crt"),
        "tls-private-key-file": credential(f"{name}.key"),
        "tls-min-version": tls.MIN_VERSION,
        "tls-cipher-suites": tls.SUITES,
        "client-ca-file": credential("ca.crt"),
        "requestheader-client-ca-file": credential("front-proxy-ca.crt"),
        "requestheader-allowed-names": "front-proxy-client",
        "leader-elect": True,
        "profiling": False,
    }
