"""Names that more than one module must spell alike."""

from __future__ import annotations

from typing import Final

ADMIN_USER: Final = "kubernetes-admin"
ADMIN_GROUP: Final = "kbootstrap:admins"  # bound by RBAC to cluster-admin; not system:masters, which no RBAC can revoke
KUBELET_CLIENT_USER: Final = "kube-apiserver-kubelet-client"
HEALTH_USER: Final = "kbootstrap:endpoint-health"  # may do nothing; any authenticated user may read /readyz
ETCD_USER: Final = "etcd"
KUBE_USER: Final = "kube"
FIELD_MANAGER: Final = "kbootstrap"
CONTROL_PLANE_LABEL: Final = "node-role.kubernetes.io/control-plane"
WORKER_LABEL: Final = "node-role.kubernetes.io/worker"

CLUSTER_CA: Final = "ca"
ETCD_CA: Final = "etcd-ca"
FRONT_PROXY_CA: Final = "front-proxy-ca"
