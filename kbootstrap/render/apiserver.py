"""kube-apiserver: bound to the host's own address and to the host's own etcd member, with what CIS 1.2 and 3.2 ask for as flags."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

from kbootstrap.catalog import paths
from kbootstrap.catalog.ports import API
from kbootstrap.model.cluster import ClusterSpec, PodSecurity
from kbootstrap.model.host import Host
from kbootstrap.render import etcd, flags, tls
from kbootstrap.render.systemd import credential

COMPONENT: Final = "kube-apiserver"

LEAVING_S: Final = 4
_CERTIFICATES: Final = ("apiserver", "apiserver-etcd-client", "apiserver-kubelet-client", "front-proxy-client")


def credentials() -> dict[str, str]:
    """Credential name → file on the host: everything that the daemon reads, copied for it by systemd at its start."""
    pairs = [path(name) for name in _CERTIFICATES for path in (paths.certificate, paths.key)]
    others = (paths.CA, paths.FRONT_PROXY_CA, paths.SA_KEY, paths.SA_PUB)
    configs = (paths.ENCRYPTION_CONFIG, paths.ADMISSION_CONFIG, paths.AUDIT_POLICY)
    return {"etcd-ca.crt": paths.ETCD_CA} | {PurePosixPath(path).name: path for path in (*pairs, *others, *configs)}


def arguments(spec: ClusterSpec, host: Host) -> tuple[str, ...]:
    """The command line of the API server on *host*."""
    ours = _serving(host) | _storage(host) | _identity(spec) | _admission(spec) | _audit(spec) | _kubelets() | _aggregation() | _services(spec)
    return flags.arguments(COMPONENT, ours, host)


def _serving(host: Host) -> dict[str, object]:
    """127.0.0.1 of the same port belongs to the endpoint proxy, therefore one address and not all.

    Who asks while the server ends is told to try elsewhere; otherwise it waits a minute for open watches, and is killed before (2 s, was 34).
    Before that it serves on, unready, until the endpoint proxies, which ask twice at intervals of a second, have led everybody away.
    """
    return {
        "bind-address": host.address,
        "advertise-address": host.address,
        "secure-port": API.number,
        "tls-cert-file": credential("apiserver.crt"),
        "tls-private-key-file": credential("apiserver.key"),
        "tls-min-version": tls.MIN_VERSION,
        "tls-cipher-suites": tls.SUITES,
        "profiling": False,
        "shutdown-send-retry-after": True,
        "shutdown-delay-duration": f"{LEAVING_S}s",
    }


def _storage(host: Host) -> dict[str, object]:
    """The own member only: with all of them, the client keeps sending every third request to a silent one for 40 s."""
    return {
        "etcd-servers": etcd.client_url(host),
        "etcd-cafile": credential("etcd-ca.crt"),
        "etcd-certfile": credential("apiserver-etcd-client.crt"),
        "etcd-keyfile": credential("apiserver-etcd-client.key"),
        "encryption-provider-config": credential("encryption.yaml"),
    }


def _identity(spec: ClusterSpec) -> dict[str, object]:
    """Nobody is anonymous: /readyz, too, wants a certificate, of any user."""
    return {
        "client-ca-file": credential("ca.crt"),
        "anonymous-auth": False,
        "authorization-mode": ("Node", "RBAC"),
        "service-account-issuer": f"https://kubernetes.default.svc.{spec.network.domain}",
        "service-account-key-file": credential("sa.pub"),
        "service-account-signing-key-file": credential("sa.key"),
        "service-account-extend-token-expiration": False,
    }


def _admission(spec: ClusterSpec) -> dict[str, object]:
    """AlwaysPullImages is left out: bundled images are imported on the hosts, and there may be no registry to ask."""
    return {
        "enable-admission-plugins": ("NodeRestriction", "DenyServiceExternalIPs", "EventRateLimit"),
        "admission-control-config-file": credential("admission.yaml"),
        "default-not-ready-toleration-seconds": spec.node_failure.evict_s,
        "default-unreachable-toleration-seconds": spec.node_failure.evict_s,
        "allow-privileged": True,
    }


def _audit(spec: ClusterSpec) -> dict[str, object]:
    return {
        "audit-policy-file": credential("audit-policy.yaml"),
        "audit-log-path": paths.AUDIT_LOG,
        "audit-log-maxage": spec.audit.max_age_days,
        "audit-log-maxbackup": spec.audit.max_backups,
        "audit-log-maxsize": spec.audit.max_size_mb,
    }


def pod_security(spec: ClusterSpec) -> dict[str, object]:
    """The configuration of the admission plugin PodSecurity; empty where Kubernetes' own defaults hold. What is ours runs in kube-system, or keeps to
    the strictest level."""
    wanted = spec.pod_security
    if wanted == PodSecurity():
        return {}
    levels = {"enforce": wanted.enforce, "audit": wanted.audit, "warn": wanted.warn}
    defaults = {key: text for name, level in levels.items() for key, text in ((name, level.value), (f"{name}-version", "latest"))}
    exempt = list(dict.fromkeys(["kube-system", *wanted.exempt]))
    return {"defaults": defaults, "exemptions": {"usernames": [], "runtimeClasses": [], "namespaces": exempt}}


def _kubelets() -> dict[str, object]:
    """Addresses only: host names need not resolve, and kubelets' certificates carry the address."""
    return {
        "kubelet-certificate-authority": credential("ca.crt"),
        "kubelet-client-certificate": credential("apiserver-kubelet-client.crt"),
        "kubelet-client-key": credential("apiserver-kubelet-client.key"),
        "kubelet-preferred-address-types": "InternalIP",
    }


def _aggregation() -> dict[str, object]:
    return {
        "proxy-client-cert-file": credential("front-proxy-client.crt"),
        "proxy-client-key-file": credential("front-proxy-client.key"),
        "requestheader-client-ca-file": credential("front-proxy-ca.crt"),
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
    }


def _services(spec: ClusterSpec) -> dict[str, object]:
    return {"service-cluster-ip-range": spec.network.services}
