"""The operator's own PKI, looked at without any host: what is in it, and what would be issued."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from kbootstrap.model.certificate import State, rotation
from kbootstrap.model.pki import SERVICE_ACCOUNT, KeyPair, Pki, Profile
from kbootstrap.pki import inspect, layout, locked
from kbootstrap.pki.inspect import Fault, describe
from kbootstrap.pki.judge import GOOD, Wanted, authority
from kbootstrap.pki.profiles import CAS
from kbootstrap.report.kept import Branch, Due, Kept
from kbootstrap.rolebook.certificates import reloaded, units
from kbootstrap.rolebook.role import RoleDef

Units = Mapping[str, Mapping[str, tuple[str, ...]]]  # host → name of a certificate → the units that restart for it


def restarts(defined: Mapping[str, RoleDef], wanted: Wanted) -> Units:
    """For every host; a unit that is only reloaded says so."""
    quick = {unit: f"{unit} (reload)" for unit in reloaded(defined)}
    found = {host.name: units(defined, wanted.spec, host) for host in wanted.spec.hosts}
    return {host: {name: tuple(quick.get(unit, unit) for unit in mine) for name, mine in table.items()} for host, table in found.items()}


def tree(wanted: Wanted, table: Units, chosen: Iterable[Profile] | None = None) -> tuple[Branch, ...]:
    """By CA, with those that come and go in a rotation. *chosen*: only these leaves; None: all, also those that the inventory does not want."""
    pki = wanted.pki
    ids = set(pki.pairs) if chosen is None else {profile.id for profile in chosen} & set(pki.pairs)
    ordered = [i for i in (*wanted.profiles, *sorted(ids - set(wanted.profiles))) if i in ids]
    branches = []
    for name, which, ca in _authorities(pki):
        signed = [i for i in ordered if inspect.is_signed_by(pki.pairs[i].cert_pem, ca.cert_pem)]
        kept = _kept(
            wanted,
            f"{name}{which}",
            ca.cert_pem,
            authority(wanted, ca.cert_pem),
            file=layout.ca_cert(name, which),
            restarted=_everywhere(table, name),
        )
        branches.append(Branch(ca=kept, key=_key(ca), leaves=tuple(_leaf(wanted, i, table) for i in signed)))
    return tuple(branch for branch in branches if branch.leaves or chosen is None)


def _authorities(pki: Pki) -> Iterator[tuple[str, str, KeyPair]]:
    """(name, mark of its file, pair), the signing one first."""
    for name in CAS:
        if name in pki.cas:
            yield name, "", pki.cas[name]
        if name in pki.upcoming:
            yield name, layout.NEXT, pki.upcoming[name]
        if name in pki.former:
            yield name, layout.FORMER, KeyPair(cert_pem=pki.former[name])


def _key(ca: KeyPair) -> str:
    if not ca.key_pem:
        return "not here"
    return "here, locked by a passphrase" if locked.is_locked(ca.key_pem) else "here"


def _leaf(wanted: Wanted, profile_id: str, table: Units) -> Kept:
    pem, profile = wanted.pki.pairs[profile_id].cert_pem, wanted.profiles.get(profile_id)
    found = wanted.fault(profile, pem) if profile else Fault(state=State.OK, text="the inventory does not want it")
    host, _, name = profile_id.rpartition("/")
    return _kept(wanted, profile_id, pem, found, file=layout.pair(profile_id), restarted=table.get(host, {}).get(name, ()))


def _kept(wanted: Wanted, name: str, pem: bytes, found: Fault, *, file: str, restarted: tuple[str, ...]) -> Kept:
    seen = describe(pem)
    return Kept(
        id=name,
        state=found.state,
        subject=", ".join([f"CN={seen.common_name}", *(f"O={group}" for group in sorted(seen.organizations))]),
        issuer=seen.issuer,
        names=(*sorted(seen.dns_names), *(str(each) for each in sorted(seen.ip_addresses, key=lambda each: (each.version, int(each))))),
        usages=tuple(sorted(seen.usages, reverse=True)),
        key_type=seen.key_type,
        serial=seen.serial,
        not_before=seen.not_before,
        not_after=seen.not_after,
        days_left=seen.days_left(wanted.now),
        file=file,
        units=restarted,
        note=found.text,
    )


def _everywhere(table: Units, name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(unit for mine in table.values() for unit in mine.get(name, ())))


def due(wanted: Wanted, table: Units, chosen: Sequence[Profile]) -> tuple[Due, ...]:
    """What ``certs.ensure`` would issue of *chosen*, and the CAs that end soon, which nothing issues by itself."""
    if wanted.pki.is_empty:
        new = [Due(symbol="+", id=name, reason="the cluster is new", units=_everywhere(table, name)) for name in (*CAS, SERVICE_ACCOUNT)]
        return (*new, *(_due(p, "there is none yet", table, symbol="+") for p in chosen))
    reasons = [(p, inspect.reason(wanted.pki, p, now=wanted.now, certificates=wanted.spec.certificates)) for p in chosen]
    found = [_due(p, why, table, symbol="~" if p.id in wanted.pki.pairs else "+") for p, why in reasons if why]
    return (*_ending(wanted), *found)


def _due(profile: Profile, why: str, table: Units, *, symbol: str) -> Due:
    return Due(symbol=symbol, id=profile.id, reason=why, units=table.get(profile.host or "", {}).get(profile.name, ()))


def _ending(wanted: Wanted) -> Iterator[Due]:
    for name, ca in wanted.pki.cas.items():
        if (found := authority(wanted, ca.cert_pem)) is not GOOD:
            yield Due(symbol="!", id=name, reason=found.text, hint=rotation(name))
