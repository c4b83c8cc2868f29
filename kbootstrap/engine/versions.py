"""What runs where: ``cluster.up`` refuses to change it, ``cluster.upgrade`` starts from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kbootstrap.catalog import releases
from kbootstrap.engine import cluster
from kbootstrap.engine.prepared import Prepared
from kbootstrap.errors import CommandError, PreflightError, Problem
from kbootstrap.model.host import Host
from kbootstrap.model.plan import Plan
from kbootstrap.model.resource import Binary
from kbootstrap.plan import skew, versions
from kbootstrap.plan.ledger import Ledger
from kbootstrap.plan.versions import Versions
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Pool, answered

READ_S = 60.0
SHOWN = 6


def read(pool: Pool, hosts: Sequence[Host]) -> Versions:
    """What each of *hosts* runs; one that cannot be asked is not in it."""

    def work(host: Host, connection: Connection) -> Mapping[str, str]:
        code, output, stderr = cluster.one(connection, versions.probe(), deadline_s=READ_S)
        if code != 0:
            raise CommandError(f"its versions cannot be read: {stderr.strip()[-300:]}", host=host.name)
        return versions.parse(output.decode("utf-8", "replace"))

    return answered(pool.map(work, hosts))


def unchanged(prepared: Prepared, pool: Pool, plan: Plan, ledgers: Mapping[str, Ledger]) -> None:
    """PreflightError if *plan* would change the version of a Kubernetes that is there: that has an order of its own.

    Hosts are asked only where a program of Kubernetes differs; one that nothing was installed on yet has none.
    """
    if not any(_of_kubernetes(change.resource) for change in plan.changes()):
        return
    wanted = prepared.spec.kubernetes
    seen = read(pool, [prepared.spec.host(name) for name, ledger in ledgers.items() if not ledger.empty])
    problems = skew.not_of(seen, wanted)
    if not problems:
        return
    rest = [Problem(where="…", what=f"and {len(problems) - SHOWN} more")] if len(problems) > SHOWN else []
    what = f"cluster.yml says Kubernetes {wanted}, {', '.join(v for v in versions.of(seen) if v != wanted)} runs; nothing was changed"
    raise PreflightError(what, problems=[*problems[:SHOWN], *rest], hint=_hint(prepared, seen))


def _hint(prepared: Prepared, seen: Versions) -> str:
    wanted, found = prepared.spec.kubernetes, prepared.state.rollout
    if found is not None and not found.done:
        way = "rollback" if found.back else f"upgrade --to {found.target}"
        other = f"upgrade --to {found.origin}" if found.back else "rollback"
        return f"A change from {found.origin} to {found.target} is under way: invoke cluster.{way} finishes it, invoke cluster.{other} goes back."
    if versions.order(wanted) >= versions.order(versions.of(seen)[-1]):
        return f"A new version goes host by host: invoke cluster.upgrade --to {wanted}"
    return f'Write `kubernetes: "{versions.of(seen)[-1]}"` in cluster.yml; to go back to what ran before: invoke cluster.rollback'


def _of_kubernetes(resource: object) -> bool:
    return isinstance(resource, Binary) and releases.binaries().get(resource.name.rpartition("/")[2]) == "kubernetes"
