"""A whole cluster, raced: ``cluster.up``, an expert's script around kubeadm, and the floor, on the same bare lab hosts. ``./inv bench --clusters``.

The clock starts with nothing but the base image on running hosts (binaries cached on this machine for all), and stops when the cluster is proven.
``ours`` is the whole command, its own proof included: etcd, API servers, nodes, DNS, pod to pod, services. ``kubeadm`` (``kubeadm.py``) stops at five
Ready nodes, three etcd members and CoreDNS available. ``floor`` (``floor.py``) stops at five Ready nodes: the very files, programs and images that
``cluster.up`` would install, as one tar per host over OpenSSH, every unit of every host started at once; no plan, no check, no ledger.
What kubeadm is spared: an endpoint in front of the API servers, hardening, and pods' routes between hosts.

The order of each round is shuffled; CPU seconds are those of the whole machine, hosts and operator together, so nothing else may run on it.
"""
