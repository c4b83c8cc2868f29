"""``certs.check``: one read and a handshake per port of every host, judged against the inventory and the operator's PKI; changes nothing.

Neither a host that is down, nor an API that does not answer, nor a certificate that expired keeps the rest from being looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from kbootstrap.engine.contact import chosen, contact
from kbootstrap.engine.prepare import roles
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.request import Request
from kbootstrap.engine.serving import served
from kbootstrap.errors import KbError, PkiError
from kbootstrap.model.certificate import State
from kbootstrap.model.host import Host
from kbootstrap.model.pki import Pki
from kbootstrap.pki.judge import Wanted, complete
from kbootstrap.pki.profiles import profiles
from kbootstrap.plan import certificate_sh, certificates
from kbootstrap.plan.certificates import Look
from kbootstrap.plan.serving import sockets
from kbootstrap.remote import fuse
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Pool, answered
from kbootstrap.report.certs_check import Check, Row
from kbootstrap.rolebook.certificates import Held, held, units
from kbootstrap.store import clock, entropy, pki_dir
from kbootstrap.store.folder import Folder

READ_DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What each host is asked: its files that hold certificates, and the units that use them."""

    held: tuple[Held, ...]
    units: tuple[str, ...]


def check(request: Request, *, days: int | None = None) -> Check:
    """One look at the cluster of *request*'s folder. *days*: see ``Wanted``. Raises InventoryError, UsageError, and PkiError where the operator's
    own PKI is empty or damaged; what is wrong with hosts is in the value."""
    known = contact(request.folder)
    hosts = chosen(known.spec, request.limit)
    with request.connect(known) as pool:
        return look(known, issued(request.folder), pool, hosts, days=days)


def issued(folder: Folder) -> Pki:
    """The PKI of *folder*. PkiError where there is none yet."""
    pki = pki_dir.load(folder.pki)
    if pki.is_empty:
        raise PkiError(f"{folder.pki} holds no certificates yet", hint="They are made by `invoke certs.ensure`, or by the first `invoke cluster.up`.")
    return pki


def look(known: Prepared, pki: Pki, pool: Pool, hosts: Iterable[Host], *, days: int | None = None) -> Check:
    """The same over connections that are open already, with a PKI that is known."""
    spec, hosts = known.spec, tuple(hosts)
    table = profiles(spec)
    wanted = Wanted(spec=spec, pki=pki, profiles={p.id: p for p in table}, now=clock.now(), days=days)
    world = replace(known.world, pki=complete(pki, table))
    defined = roles()
    asked = {
        host.name: _Asked(
            held=held(world, defined, host), units=tuple(dict.fromkeys(unit for mine in units(defined, spec, host).values() for unit in mine))
        )
        for host in hosts
    }
    outcomes = pool.map(lambda host, connection: _look(known, connection, host, asked[host.name]), hosts)
    looks = answered(outcomes)
    disks = certificates.disks(looks.values())
    rows = list(certificates.operators(wanted, [host.name for host in hosts]))
    for name, outcome in outcomes.items():
        rows += [_unread(name, outcome.error)] if outcome.error is not None else certificates.host(wanted, looks[name], disks)
    return Check(cluster=spec.name, rows=tuple(rows))


def _look(known: Prepared, connection: Connection, host: Host, asked: _Asked) -> Look:
    """The host answers while its ports are asked."""
    marker = entropy.marker()
    program = fuse.read_program(certificate_sh.sections(asked.held, asked.units), marker)
    running = connection.run(program, deadline_s=READ_DEADLINE_S)
    shown = served(connection, sockets(known.spec, host))
    answers: Mapping[str, str] = {s.id: s.output.decode("utf-8", "replace") for s in fuse.split(running.lines(), marker)}
    running.finish()
    return Look(host=host, held=asked.held, seen=certificate_sh.parse(answers), served=shown)


def _unread(host: str, error: KbError) -> Row:
    return Row(host=host, certificate="", where="", state=State.UNREACHABLE, detail=error.message)
