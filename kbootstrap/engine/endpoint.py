"""An external endpoint is proven before anybody is led there: a load balancer that leads elsewhere would cut every node off at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from kbootstrap import kubeconfig
from kbootstrap.catalog import names, paths, ports
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.serving import served
from kbootstrap.errors import KbError, PreflightError, Problem
from kbootstrap.model.cluster import EndpointKind
from kbootstrap.model.events import Listener, Note
from kbootstrap.model.pki import Pki
from kbootstrap.model.plan import Action, Plan
from kbootstrap.pki import inspect
from kbootstrap.plan.serving import Socket
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Pool


def require(prepared: Prepared, pool: Pool, plan: Plan) -> None:
    """PreflightError unless every host that *plan* leads to another external endpoint finds an API server of this cluster there. One that has no
    kubeconfig yet is not asked: in front of a cluster that does not run there is nothing to find."""
    endpoint, moved = prepared.spec.endpoint, _led_elsewhere(plan)
    if endpoint.kind is not EndpointKind.EXTERNAL or not moved:
        return
    socket = Socket(certificate="apiserver", address=endpoint.address, port=endpoint.port, owners=(), unit="")
    hosts = [prepared.spec.host(name) for name in moved]
    outcomes = pool.map(lambda host, connection: _fault(connection, socket, prepared.pki), hosts)
    faults = {name: str(outcome.error) if outcome.error else outcome.get() for name, outcome in outcomes.items()}
    if problems := list(_problems(faults, socket)):
        masters = ", ".join(f"{host.address}:{ports.API.number}" for host in prepared.spec.masters)
        hint = f"It must pass TCP to {masters} before anybody is led there."
        raise PreflightError(f"the endpoint {socket} does not lead to this cluster; nothing was changed", problems=problems, hint=hint)


def tell(listener: Listener, prepared: Prepared, plan: Plan) -> None:
    """Whose kubeconfig does not follow behind *plan*: people have theirs, and only they can be given another."""
    if not _led_elsewhere(plan):
        return
    now = set(kubeconfig.servers(prepared.spec).values())
    for path in sorted((prepared.folder.root / "users").glob("*.conf")):
        with suppress(KbError, UnicodeDecodeError):
            server = kubeconfig.read(path.read_text()).server
            if server not in now:
                text = f"{path.stem} has a kubeconfig that asks {server}. Another one: invoke kubeconfig.user --name {path.stem}"
                listener(Note(text=text, warning=True))


def _led_elsewhere(plan: Plan) -> tuple[str, ...]:
    """The hosts whose kubelet gets another kubeconfig in the place of one."""
    return tuple(change.host for change in plan.changes() if change.key == paths.kubeconfig("kubelet") and change.action is Action.UPDATE)


def _problems(faults: dict[str, str], socket: Socket) -> Iterator[Problem]:
    yield from (Problem(where=host, what=f"asked {socket}: {fault}") for host, fault in faults.items() if fault)


def _fault(connection: Connection, socket: Socket, pki: Pki) -> str:
    shown = served(connection, [socket])[socket]
    if isinstance(shown, KbError):
        return shown.message
    cas = [ca for ca in (pki.cas[names.CLUSTER_CA].cert_pem, pki.former.get(names.CLUSTER_CA, b"")) if ca]
    if any(inspect.is_signed_by(shown, ca) for ca in cas):
        return ""
    return f"what answers there is «{inspect.describe(shown).common_name}», which the cluster's CA has not signed"
