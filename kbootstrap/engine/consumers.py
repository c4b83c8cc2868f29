"""Pods and a rotation: wait for what they read, list those that run since before, restart their owners."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kbootstrap.catalog import names, paths
from kbootstrap.engine import api, cluster
from kbootstrap.engine.prepared import Prepared
from kbootstrap.errors import ApplyError
from kbootstrap.model.events import Listener, Note
from kbootstrap.model.host import Host
from kbootstrap.model.pki import SERVICE_ACCOUNT
from kbootstrap.plan import consumers
from kbootstrap.plan.checks.gates import kubectl
from kbootstrap.plan.consumers import Old
from kbootstrap.remote.pool import Pool
from kbootstrap.resources.difference import sh
from kbootstrap.store import clock

BUNDLES_S = 120.0  # the controller manager publishes them within a second of its start, which may wait for its lease
ROLLOUT_S = 300
KUBELET = "kubelet.service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pods:
    """The pods of a cluster, as a rotation sees them; works through any API server that answers."""

    prepared: Prepared
    pool: Pool
    listener: Listener

    def _kubectl(self, arguments: str, *, deadline_s: float = 60.0) -> bytes:
        host = api.healthy_master(self.prepared, self.pool)
        code, output, stderr = cluster.one(self.pool.connection(host), f"{kubectl(host)} {arguments}\n", deadline_s=deadline_s)
        if code != 0:
            raise ApplyError(
                f"kubectl {arguments.split(' -o ', maxsplit=1)[0]}: {stderr.strip()[-500:]}", host=host.name, hint="Run the same command again."
            )
        return output

    def _list(self, arguments: str) -> Sequence[Mapping[str, Any]]:
        found: Sequence[Mapping[str, Any]] = json.loads(self._kubectl(f"get -A {arguments} -o json"))["items"]
        return found

    def _bundles(self) -> Sequence[Mapping[str, Any]]:
        return self._list(f"configmaps --field-selector=metadata.name={consumers.BUNDLE} --show-managed-fields")

    def wait_for_bundles(self) -> None:
        """Until every namespace's bundle is what the PKI trusts. ApplyError with those that are not after two minutes."""
        wanted, end = self.prepared.pki.trust(names.CLUSTER_CA), clock.monotonic_s() + BUNDLES_S
        while lacking := consumers.lacking(self._bundles(), wanted):
            if clock.monotonic_s() > end or self.pool.stopping.is_set():
                what = f"{consumers.BUNDLE} of {', '.join(lacking)} does not follow"
                raise ApplyError(what, hint="Its writer says why: journalctl -u kube-controller-manager on the masters. Run the same command again.")
            clock.pause(0.5)

    def old(self, name: str) -> tuple[Old, ...]:
        """Those that run since before what they read was changed."""
        pods, sets = self._list("pods"), self._list("replicasets")
        if name == SERVICE_ACCOUNT:
            return consumers.old(pods, sets, name, {}, self._signing())
        return consumers.old(pods, sets, name, consumers.changed(self._bundles()))

    def restart(self, pods: Sequence[Old]) -> None:
        """A rollout of every owner of *pods*, all at once; returns once each is complete."""
        targets = consumers.owners(pods)
        if targets:  # or a new pod could not be told from an old one
            clock.pause(consumers.STARTING.total_seconds() + 1)
        for namespace, owner in targets:
            self.listener(Note(text=f"restarts {owner} in {namespace}"))
            self._kubectl(f"-n {sh(namespace)} rollout restart {sh(owner)}")
        for namespace, owner in targets:
            self._kubectl(f"-n {sh(namespace)} rollout status {sh(owner)} --timeout={ROLLOUT_S}s", deadline_s=ROLLOUT_S + 30)

    def legacy_tokens(self) -> tuple[str, ...]:
        """The secrets that hold a token of the old kind, which nobody renews."""
        items = self._list("secrets --field-selector=type=kubernetes.io/service-account-token")
        return tuple(f"{each['metadata']['namespace']}/{each['metadata']['name']}" for each in items)

    def _signing(self) -> datetime:
        """Since when every API server runs as it does now."""
        outcomes = self.pool.map(lambda _, connection: cluster.one(connection, f"stat -c %Y {paths.started(api.APISERVER)}\n")[1], self._masters)
        return datetime.fromtimestamp(max(int(outcome.get()) for outcome in outcomes.values()), UTC)

    @property
    def _masters(self) -> tuple[Host, ...]:
        return self.prepared.spec.masters

    def renew_tokens(self, hosts: Sequence[str]) -> None:
        """Restart the kubelets that are older than the API servers: they keep tokens in memory (pkg/kubelet/token), and ask for new ones then."""
        signing = int(self._signing().timestamp())
        text = f'[ "$(stat -c %Y {paths.started(KUBELET)})" -gt {signing} ] || systemctl restart {KUBELET}\n'
        outcomes = self.pool.map(lambda _, connection: cluster.one(connection, text, deadline_s=90), map(self.prepared.spec.host, hosts))
        for name, outcome in outcomes.items():
            code, _, stderr = outcome.get()
            if code != 0:
                raise ApplyError(f"kubelet does not restart: {stderr.strip()[-300:]}", host=name, hint=f"On {name}: journalctl -u kubelet -n 50")
