"""The three-way truth of ``certs.check``: what the inventory wants × the operator's PKI × each host's disk × what its ports and units really use.

Each place is judged by itself (``pki.judge``): a row for each thing that it holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kbootstrap.errors import KbError, PkiError
from kbootstrap.model.certificate import State
from kbootstrap.model.host import Host
from kbootstrap.model.pki import SERVICE_ACCOUNT, Profile
from kbootstrap.pki import keys
from kbootstrap.pki.inspect import Fault, describe
from kbootstrap.pki.judge import GOOD, Wanted, authority, bundle, judged, known_token_keys, same, token_keys
from kbootstrap.pki.profiles import CAS
from kbootstrap.plan import serving
from kbootstrap.plan.certificate_sh import Seen
from kbootstrap.plan.serving import Socket
from kbootstrap.report.certs_check import CLUSTER, PKI, Row
from kbootstrap.resources import stat
from kbootstrap.rolebook.certificates import Held, Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was read of one host, and what should be there. *served*: PEM, or why there is none."""

    host: Host
    held: Sequence[Held]
    seen: Seen
    served: Mapping[Socket, bytes | KbError]


def operators(wanted: Wanted, hosts: Sequence[str]) -> Iterator[Row]:
    """The rows of the operator's own PKI: the CAs, the cluster-wide certificates, and those of *hosts*."""
    for name in CAS:
        for chain in [wanted.pki.cas[name].cert_pem, *([wanted.pki.upcoming[name].cert_pem] if name in wanted.pki.upcoming else [])]:
            yield _row(wanted, "", name, PKI, authority(wanted, chain), pem=chain)
    for profile in wanted.profiles.values():
        if profile.host is None or profile.host in hosts:
            yield _operators(wanted, profile)


def _operators(wanted: Wanted, profile: Profile) -> Row:
    host = profile.host or ""
    pair = wanted.pki.pairs.get(profile.id)
    if pair is None:
        return Row(host=host, certificate=profile.name, where=PKI, state=State.NOT_ISSUED, detail="the operator's PKI has none")
    return _row(wanted, host, profile.name, PKI, wanted.fault(profile, pair.cert_pem), pem=pair.cert_pem)


def _row(wanted: Wanted, host: str, name: str, where: str, found: Fault, *, pem: bytes = b"", owner: str = "", unit: str = "") -> Row:
    left = describe(pem).days_left(wanted.now) if pem else None
    return Row(host=host, certificate=name, where=where, state=found.state, detail=found.text, days_left=left, owner=owner, unit=unit)


def host(wanted: Wanted, look: Look, disks: Mapping[str, bytes]) -> Iterator[Row]:
    """The rows of one host: its files, its ports, its running units. *disks*: profile id → what was read of the disks of all hosts."""
    if not look.seen.files:
        detail = "holds no certificate of this cluster: nothing is installed there"
        yield Row(host=look.host.name, certificate="", where="", state=State.MISSING, detail=detail)
        return
    for held in look.held:
        yield from _file(wanted, look, held)
    for socket, shown in look.served.items():
        yield _port(wanted, look, socket, shown, disks)
    yield from _units(wanted, look)


def _file(wanted: Wanted, look: Look, held: Held) -> Iterator[Row]:
    path, there = held.file.name, look.seen.files.get(held.file.name)

    def row(state: State, detail: str) -> Row:
        return Row(host=look.host.name, certificate=held.name, where=path, state=state, detail=detail)

    if there is None:
        yield row(State.MISSING, "no such file")
        return
    if not there.is_file:
        yield row(State.UNREADABLE, f"is a {there.type}")
        return
    rows = list(_content(wanted, look, held))
    if why := stat.attributes(there, held.file.mode, held.file.owner):
        rows = [each for each in rows if each.state is not State.OK] + [row(State.PERMISSIONS, why)]
    yield from rows


def _content(wanted: Wanted, look: Look, held: Held) -> Iterator[Row]:
    """What the file says; a file that is as it should be has one row for each thing that it holds."""
    name, path = look.host.name, held.file.name
    if held.name == SERVICE_ACCOUNT:
        found = _token_key(wanted, look, held) if held.part is Part.KEY else token_keys(wanted, look.seen.keys.get(path, b""))
        yield _row(wanted, name, held.name, path, found)
    elif held.name in CAS:
        yield _row(wanted, name, held.name, path, bundle(wanted, held.name, look.seen.certificates.get(path, b"")))
    elif held.part is Part.KEY:
        yield _row(wanted, name, held.name, path, _key(wanted, look, held, _beside(look, held)))
    else:
        profile, pem = wanted.of(name, held.name), look.seen.certificates.get(path, b"")
        found, owner = judged(wanted, profile, pem), profile.host or CLUSTER
        yield _row(wanted, name, held.name, path, found, pem=pem if found.state is not State.UNREADABLE else b"", owner=owner)
        if held.part is not Part.CERT and (wrong := _key(wanted, look, held, pem)) is not GOOD:
            yield _row(wanted, name, held.name, path, wrong, owner=owner)
        if held.part is Part.CONFIG:
            ca = CAS[0]
            yield _row(wanted, name, ca, path, bundle(wanted, ca, look.seen.authorities.get(path, b"")))


def _beside(look: Look, held: Held) -> bytes:
    """The certificate that lies beside a key."""
    return next((look.seen.certificates.get(o.file.name, b"") for o in look.held if o.name == held.name and o.part is Part.CERT), b"")


def _key(wanted: Wanted, look: Look, held: Held, cert_pem: bytes) -> Fault:
    """Whether a key on the host belongs to *cert_pem*, the host's own; where that cannot be read, to the operator's."""
    path = held.file.name
    if look.seen.blind:
        alike = look.seen.files[path].sha256 == held.file.sha256
        ours = wanted.pki.pairs.get(wanted.of(look.host.name, held.name).id)
        if alike or ours is None or not same(cert_pem, ours.cert_pem):
            return GOOD
        return Fault(state=State.KEY_MISMATCH, text="differs from the operator's (the host has neither openssl nor ssh-keygen to tell more)")
    try:
        has = keys.written(look.seen.keys.get(path, b""))
    except PkiError:
        return Fault(state=State.UNREADABLE, text="holds no readable private key")
    try:
        mine = keys.of_certificate(cert_pem)
    except PkiError:
        return GOOD  # the certificate's own row says so
    return GOOD if has == mine else Fault(state=State.KEY_MISMATCH, text="the key does not belong to the certificate")


def _token_key(wanted: Wanted, look: Look, held: Held) -> Fault:
    """The key that signs tokens: the operator's."""
    if look.seen.blind:
        alike = look.seen.files[held.file.name].sha256 == held.file.sha256
        return GOOD if alike else Fault(state=State.DIFFERS, text="another one than the operator's")
    try:
        has = keys.written(look.seen.keys.get(held.file.name, b""))
    except PkiError:
        return Fault(state=State.UNREADABLE, text="holds no readable private key")
    if has == keys.written(wanted.pki.sa_pub):
        return GOOD
    if has in known_token_keys(wanted):
        return Fault(state=State.DIFFERS, text="another one than the operator's")
    return Fault(state=State.KEY_MISMATCH, text="signs tokens with a key that is none of this cluster's")


def _port(wanted: Wanted, look: Look, socket: Socket, shown: bytes | KbError, disks: Mapping[str, bytes]) -> Row:
    name, where = look.host.name, str(socket)
    if isinstance(shown, KbError):
        return _row(wanted, name, socket.certificate, where, Fault(state=State.NOT_SERVED, text=shown.message), unit=socket.unit)
    if owner := serving.owner(wanted.pki, socket, shown):
        found = judged(wanted, wanted.of(owner, socket.certificate), shown, chain=False)
        return _row(wanted, name, socket.certificate, where, found, pem=shown, owner=owner)
    all_found = [judged(wanted, wanted.of(each, socket.certificate), shown, chain=False) for each in socket.owners]
    best = next((each for each in all_found if each.state is State.DIFFERS), all_found[0])
    renewed = any(_renewed(wanted, disks, f"{each}/{socket.certificate}") for each in socket.owners)
    if renewed and best.state not in (State.FOREIGN_CA, State.WRONG_SUBJECT):
        what = f"serves one that ends on {describe(shown).not_after:%Y-%m-%d}; on the disk is the operator's"
        best = Fault(state=State.NOT_RESTARTED, text=what)
    return _row(wanted, name, socket.certificate, where, best, pem=shown, owner=",".join(socket.owners))


def _renewed(wanted: Wanted, disks: Mapping[str, bytes], profile_id: str) -> bool:
    return profile_id in disks and profile_id in wanted.pki.pairs and same(disks[profile_id], wanted.pki.pairs[profile_id].cert_pem)


def _units(wanted: Wanted, look: Look) -> Iterator[Row]:
    """What no port shows: clients' certificates and what is trusted. A unit that was started before the disk got the operator's still uses another.

    Where the disk has not got it either, the file's own row says so.
    """
    files = {each.file.name: each for each in look.held}
    shown = {socket.certificate for socket in look.served}
    for unit, started in look.seen.started.items():
        changed = [files[path] for path, sha in started.items() if path in files and sha != files[path].file.sha256 == _now(look, path)]
        for name in dict.fromkeys(each.name for each in changed if each.name not in shown):
            paths = " and ".join(each.file.name for each in changed if each.name == name)
            yield _row(wanted, look.host.name, name, unit, Fault(state=State.NOT_RESTARTED, text=f"was started with another {paths}"), unit=unit)


def _now(look: Look, path: str) -> str:
    return look.seen.files[path].sha256 if path in look.seen.files else ""


def disks(looks: Iterable[Look]) -> dict[str, bytes]:
    """Profile id → the certificate on its host's disk."""
    found = {}
    for look in looks:
        for held in look.held:
            if held.part is not Part.KEY and held.name not in (*CAS, SERVICE_ACCOUNT):
                found[f"{look.host.name}/{held.name}"] = look.seen.certificates.get(held.file.name, b"")
    return found
