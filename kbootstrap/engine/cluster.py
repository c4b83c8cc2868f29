"""The Kubernetes API, through kubectl on any healthy master over the same connection. No master is special: the first that answers leads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from kbootstrap import kubeconfig
from kbootstrap.catalog import names, paths, ports
from kbootstrap.errors import ApplyError, CommandError
from kbootstrap.model.host import Host
from kbootstrap.model.pki import KeyPair
from kbootstrap.model.plan import Change
from kbootstrap.model.resource import Manifest, Node
from kbootstrap.plan import manifests
from kbootstrap.plan.checks.gates import kubectl
from kbootstrap.remote.connection import Connection
from kbootstrap.resources.difference import sh


def one(connection: Connection, text: str, payload: bytes = b"", *, deadline_s: float = 60.0) -> tuple[int, bytes, str]:
    """Run *text* on a host: exit code, standard output (whole), standard error."""
    running = connection.run(text, payload=(payload,) if payload else (), deadline_s=deadline_s)
    output = b"\n".join(running.lines())
    ended = running.finish()
    return ended.exit_code, output, ended.stderr


def get(connection: Connection, host: Host, wanted: Sequence[Manifest | Node]) -> Mapping[str, Any]:
    """The live objects of *wanted* as kubectl's List, with managed fields. CommandError if the API does not answer."""
    stubs = manifests.as_list(manifests.stub(resource) for resource in wanted)
    text = f"{kubectl(host)} --request-timeout=10s get -f - --ignore-not-found --show-managed-fields -o json\n"
    code, output, stderr = one(connection, text, stubs, deadline_s=30)
    if code != 0:
        raise CommandError(f"kubectl get: {stderr.strip()[-300:]}", host=host.name)
    return json.loads(output) if output.strip() else {"kind": "List", "items": []}


_BOOTSTRAP = """\
f=$(mktemp -p {run} .bootstrap.XXXXXX); trap 'rm -f "$f"' EXIT
head -c {size} > "$f"
{kubectl} --kubeconfig="$f" --server={server} --cache-dir={run}/cache apply --server-side --force-conflicts --field-manager={manager} -f -
"""


def bootstrap(connection: Connection, host: Host, *, cluster: str, ca_pem: bytes, pair: KeyPair, bindings: Sequence[Manifest]) -> None:
    """Create the first bindings with a credential that lives ten minutes and touches only memory (``/run``) on the host."""
    server = f"https://{host.address}:{ports.API.number}"
    config = kubeconfig.build(cluster, {cluster: server}, ca_pem=ca_pem, user="bootstrap", pair=pair).encode()
    documents = manifests.as_list(b.document for b in bindings)
    text = _BOOTSTRAP.format(run=paths.RUN, size=len(config), kubectl=f"{paths.BIN}/kubectl", server=server, manager=names.FIELD_MANAGER)
    code, _, stderr = one(connection, text, config + documents, deadline_s=60)
    if code != 0:
        raise ApplyError(f"first bindings: {stderr.strip()[-500:]}", host=host.name, hint="Run the same command again.")


def apply(connection: Connection, host: Host, changes: Sequence[Change]) -> None:
    """Apply all changed objects in one server-side apply with our own field manager; nodes only once they are registered."""
    nodes = [c.resource for c in changes if isinstance(c.resource, Node)]
    documents = [manifests.document(c.resource) for c in changes if isinstance(c.resource, (Manifest, Node))]
    text = "".join(_registered(host, node) for node in nodes)
    text += "".join(_marks(host, c.resource, json.loads(c.before or "{}")) for c in changes if isinstance(c.resource, Node))
    text += f"{kubectl(host)} apply --server-side --force-conflicts --field-manager={names.FIELD_MANAGER} -f - || exit 1\n"
    code, _, stderr = one(connection, text, manifests.as_list(documents), deadline_s=180)
    if code != 0:
        raise ApplyError(f"kubectl apply: {stderr.strip()[-1500:]}", host=host.name, hint="Run the same command again.")


def _registered(host: Host, node: Node) -> str:
    """Wait for it: an apply would make a node that no kubelet stands behind."""
    get = f"{kubectl(host)} get {sh('node/' + node.name)} >/dev/null 2>&1"
    late = sh("echo", f"node {node.name} does not register; look there: journalctl -u kubelet -n 50")
    return f"for i in $(seq 300); do {get} && break; sleep 0.3; done\n{get} || {{ {late} >&2; exit 1; }}\n"


def _marks(host: Host, node: Node, unwanted: Mapping[str, Sequence[str]]) -> str:
    """Before the apply: after it nothing tells any more that what is to go was ours. A label must be removed by name, since the kubelet, which
    registers its node with the inventory's labels, owns them too, and an apply only gives up our share."""
    labels = [f"{label}-" for label in unwanted.get("labels", ())]
    taints = [*node.taints, *(f"{taint}-" for taint in unwanted.get("taints", ()))]
    text = f"{kubectl(host)} label node {sh(node.name, *labels)} >/dev/null || exit 1\n" if labels else ""
    return text + (f"{kubectl(host)} taint node {sh(node.name, *taints)} --overwrite >/dev/null || exit 1\n" if taints else "")


def ready(connection: Connection, host: Host) -> bool:
    """Whether *host*'s own API server answers /readyz with ok."""
    code, output, _ = one(connection, f"{kubectl(host)} --request-timeout=4s get --raw /readyz\n", deadline_s=15)
    return code == 0 and output.strip() == b"ok"
