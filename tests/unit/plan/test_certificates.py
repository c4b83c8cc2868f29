"""The judgement of ``certs.check``: a host as it was installed is fine at every place; each way to be wrong is found, named, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import pytest

from kbootstrap.catalog import paths
from kbootstrap.errors import CommandError, KbError
from kbootstrap.model.certificate import State
from kbootstrap.model.cluster import Certificates, KeyType
from kbootstrap.model.pki import SERVICE_ACCOUNT, KeyPair, Pki
from kbootstrap.pki import inspect, issue, rotate
from kbootstrap.pki.profiles import profiles
from kbootstrap.plan import certificate_sh
from kbootstrap.plan.certificate_sh import Seen
from kbootstrap.plan.certificates import Look
from kbootstrap.report.certs_check import Row
from kbootstrap.testing.builders import THE_DAY, SameEntropy
from tests.unit.plan.installed_hosts import (
    DAY,
    SPEC,
    Bad,
    again,
    alter,
    bad,
    by_ssh,
    changed,
    checked,
    everywhere,
    installed,
    other,
    pki,
    public,
    wants,
)


def test_hosts_as_they_were_installed_are_fine_at_every_place() -> None:
    found = checked(pki(), everywhere())
    assert bad(found) == set()
    assert found.exit_code == 0
    assert {row.where for row in found.rows if row.certificate == "apiserver" and row.host == "m1"} == {
        "pki", f"{paths.PKI}/apiserver.crt", f"{paths.PKI}/apiserver.key", "10.77.0.11:6443", "127.0.0.1:6443",
    }  # fmt: skip
    assert len({row.where for row in found.rows if row.host == "w1"}) >= 8
    assert list(found.lines()) == [(State.OK, list(found.lines())[-1][1])], "what is fine is a number"
    assert len(list(found.lines(every=True))) == len(found.rows) + 1


CRT, KEY = f"{paths.PKI}/apiserver.crt", f"{paths.PKI}/apiserver.key"
CONF = paths.kubeconfig("kubelet")
SA = paths.SA_PUB
MINE = ("m1", "apiserver")


def stale() -> KeyPair:
    """The API server's certificate as another run issued it: good, and not the operator's."""
    return again(pki(), "m1/apiserver").pair("m1/apiserver")


def short() -> KeyPair:
    return again(pki(), "m1/apiserver", days=30, seed="short").pair("m1/apiserver")


def elsewhere() -> KeyPair:
    hosts = tuple(replace(h, address=type(h.address)("10.77.0.99")) if h.name == "m1" else h for h in SPEC.hosts)
    return again(pki(), "m1/apiserver", spec=replace(SPEC, hosts=hosts), seed="moved").pair("m1/apiserver")


def with_pair(look: Look, pair: KeyPair) -> Look:
    """*pair* at the API server's place, and served (daemons read it again)."""
    look = alter(look, certificates={CRT: pair.cert_pem}, keys={KEY: public(pair.key_pem)})
    return replace(look, served={s: pair.cert_pem if s.certificate == "apiserver" and s.owners == ("m1",) else v for s, v in look.served.items()})


def serving(look: Look, port: str, shown: bytes | KbError) -> Look:
    return replace(look, served={s: shown if str(s) == port else v for s, v in look.served.items()})


def friendly() -> KeyPair:
    spec = replace(SPEC, certificates=Certificates(extra_sans=("evil.example",)))
    return again(pki(), "m1/apiserver", spec=spec, seed="friendly").pair("m1/apiserver")


def blind(look: Look) -> Look:
    """The host has no tool that tells a key's public half."""
    return replace(look, seen=replace(look.seen, blind=True, keys={SA: pki().sa_pub}))


CASES: dict[str, tuple[Callable[[Look], Look], Bad]] = {
    "another one than the operator's": (
        lambda look: with_pair(look, stale()),
        {(*MINE, CRT, State.DIFFERS), (*MINE, "10.77.0.11:6443", State.DIFFERS)},
    ),
    "the operator's on the disk, the old one served": (
        lambda look: serving(look, "10.77.0.11:6443", stale().cert_pem),
        {(*MINE, "10.77.0.11:6443", State.NOT_RESTARTED)},
    ),
    "the old one at the node's own endpoint": (
        lambda look: serving(look, "127.0.0.1:6443", stale().cert_pem),
        {(*MINE, "127.0.0.1:6443", State.NOT_RESTARTED)},
    ),
    "a client's certificate that its unit was not restarted for": (
        lambda look: alter(look, started={"kube-scheduler.service": {paths.kubeconfig("scheduler"): "0" * 64}}),
        {("m1", "scheduler-client", "kube-scheduler.service", State.NOT_RESTARTED)},
    ),
    "a CA that its unit was not restarted for": (
        lambda look: alter(look, started={"etcd.service": {paths.ETCD_CA: "0" * 64, paths.CA: look.seen.files[paths.CA].sha256}}),
        {("m1", "etcd-ca", "etcd.service", State.NOT_RESTARTED)},
    ),
    "what a port shows is not judged by what its unit was started with": (
        lambda look: alter(look, started={"etcd.service": {f"{paths.ETCD_PKI}/server.crt": "0" * 64}}),
        set(),
    ),
    "no file": (lambda look: alter(look, files={CRT: None}), {(*MINE, CRT, State.MISSING)}),
    "a folder": (lambda look: changed(look, CRT, type="directory"), {(*MINE, CRT, State.UNREADABLE)}),
    "no certificate": (lambda look: alter(look, certificates={CRT: b"nonsense"}), {(*MINE, CRT, State.UNREADABLE)}),
    "no key": (lambda look: alter(look, keys={KEY: b""}), {(*MINE, KEY, State.UNREADABLE)}),
    "another key": (lambda look: alter(look, keys={KEY: public(stale().key_pem)}), {(*MINE, KEY, State.KEY_MISMATCH)}),
    "another key in ssh's words": (
        lambda look: alter(look, keys={KEY: by_ssh(stale().key_pem)}),
        {(*MINE, KEY, State.KEY_MISMATCH)},
    ),
    "the same key in ssh's words": (
        lambda look: alter(
            look,
            keys={KEY: by_ssh(pki().pair("m1/apiserver").key_pem)},
        ),
        set(),
    ),
    "another key inside a kubeconfig": (
        lambda look: alter(look, keys={CONF: public(stale().key_pem)}),
        {("m1", "kubelet-client", CONF, State.KEY_MISMATCH)},
    ),
    "another key that no tool of the host can read": (lambda look: blind(changed(look, KEY, sha256="0" * 64)), {(*MINE, KEY, State.KEY_MISMATCH)}),
    "no tool that could read keys, and nothing wrong": (blind, set()),
    "mode": (lambda look: changed(look, KEY, mode=0o644), {(*MINE, KEY, State.PERMISSIONS)}),
    "owner": (lambda look: changed(look, CRT, owner="kube:kube"), {(*MINE, CRT, State.PERMISSIONS)}),
    "mode and content": (
        lambda look: alter(changed(look, KEY, mode=0o644), keys={KEY: public(stale().key_pem)}),
        {(*MINE, KEY, State.PERMISSIONS), (*MINE, KEY, State.KEY_MISMATCH)},
    ),
    "a foreign CA's certificate": (
        lambda look: with_pair(look, other().pair("m1/apiserver")),
        {(*MINE, CRT, State.FOREIGN_CA), (*MINE, "10.77.0.11:6443", State.FOREIGN_CA)},
    ),
    "somebody else's server at a port": (
        lambda look: serving(look, "127.0.0.1:10257", other().pair("m1/controller-manager").cert_pem),
        {("m1", "controller-manager", "127.0.0.1:10257", State.FOREIGN_CA)},
    ),
    "another's certificate of ours": (
        lambda look: with_pair(look, pki().pair("m1/kubelet-server")),
        {(*MINE, CRT, State.WRONG_SUBJECT), (*MINE, "10.77.0.11:6443", State.WRONG_SUBJECT)},
    ),
    "an address too few": (
        lambda look: with_pair(look, elsewhere()),
        {(*MINE, CRT, State.SAN_MISSING), (*MINE, "10.77.0.11:6443", State.SAN_MISSING)},
    ),
    "a name too many": (
        lambda look: with_pair(look, friendly()),
        {(*MINE, CRT, State.SAN_UNWANTED), (*MINE, "10.77.0.11:6443", State.SAN_UNWANTED)},
    ),
    "something behind the certificate that is not its CA's": (
        lambda look: alter(look, certificates={CRT: pki().pair("m1/apiserver").cert_pem + other().ca("ca").cert_pem}),
        {(*MINE, CRT, State.WRONG_CHAIN)},
    ),
    "expired on the host alone": (
        lambda look: with_pair(look, again(pki(), "m1/apiserver", now=THE_DAY - 20 * DAY, days=10).pair("m1/apiserver")),
        {(*MINE, CRT, State.EXPIRED), (*MINE, "10.77.0.11:6443", State.EXPIRED)},
    ),
    "from the future": (
        lambda look: with_pair(look, again(pki(), "m1/apiserver", now=THE_DAY + 20 * DAY).pair("m1/apiserver")),
        {(*MINE, CRT, State.NOT_YET_VALID), (*MINE, "10.77.0.11:6443", State.NOT_YET_VALID)},
    ),
    "nobody listens": (
        lambda look: serving(look, "10.77.0.11:2379", CommandError("10.77.0.11 port 2379: connection refused")),
        {("m1", "etcd-server", "10.77.0.11:2379", State.NOT_SERVED)},
    ),
    "a foreign CA is trusted": (
        lambda look: alter(look, certificates={paths.CA: other().ca("ca").cert_pem}),
        {("m1", "ca", paths.CA, State.FOREIGN_CA)},
    ),
    "a foreign CA is trusted, too": (
        lambda look: alter(look, authorities={CONF: pki().trust("ca") + other().ca("ca").cert_pem}),
        {("m1", "ca", CONF, State.FOREIGN_CA)},
    ),
    "tokens are verified by a foreign key": (lambda look: alter(look, keys={SA: other().sa_pub}), {("m1", SERVICE_ACCOUNT, SA, State.FOREIGN_CA)}),
    "tokens are signed by a foreign key": (
        lambda look: alter(look, keys={paths.SA_KEY: other().sa_pub}),
        {("m1", SERVICE_ACCOUNT, paths.SA_KEY, State.KEY_MISMATCH)},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_way_to_be_wrong_has_its_name_and_nothing_else_is_named(case: str) -> None:
    plant, expected = CASES[case]
    looks = everywhere()
    found = checked(pki(), [plant(looks[0]), *looks[1:]])
    assert bad(found) == expected
    assert found.exit_code == (11 if expected else 0)
    assert all(row.hint for row in found.rows if row.state is not State.OK)


def test_a_ten_day_certificate_is_expiring_and_no_more_than_that() -> None:
    mine = again(pki(), "m1/apiserver", days=30, seed="short")
    found = checked(mine, [installed(mine, h.name) for h in SPEC.hosts], days=25)
    ways = {"pki", CRT, "10.77.0.11:6443"}
    assert bad(found) == {(*MINE, where, State.EXPIRING) for where in ways}
    assert found.exit_code == 10
    assert next(line for state, line in found.lines() if state is State.EXPIRING).endswith("→ invoke certs.renew --host m1 --name apiserver")
    assert checked(mine, [installed(mine, "m1")], days=25, within=3).exit_code == 0


def test_days_are_counted_as_asked() -> None:
    looks = everywhere()
    hints = {row.hint for row in checked(pki(), looks, within=365).rows if row.certificate == "admin"}
    assert hints == {"invoke certs.renew --name admin"}, "it belongs to no host"
    assert checked(pki(), looks, within=363).exit_code == 0
    assert checked(pki(), looks, within=365).exit_code == 10
    assert checked(pki(), looks, days=366).exit_code == 11


def test_all_leaves_expired_fold_into_a_line_for_each_certificate() -> None:
    found = checked(pki(), everywhere(), days=400)
    lines = [line for state, line in found.lines() if state is State.EXPIRED]
    names = {p.name for p in profiles(SPEC)}
    assert len(lines) <= len(names) + 1
    assert any("m1,m2,m3,w1" in line and "kubelet-server" in line and line.endswith("→ invoke certs.renew") for line in lines)


def test_what_the_operator_lacks_or_has_wrong_is_his_own_row() -> None:
    mine = replace(pki(), pairs={i: p for i, p in pki().pairs.items() if i != "m2/etcd-peer"})
    found = checked(mine, everywhere())
    assert ("m2", "etcd-peer", "pki", State.NOT_ISSUED) in bad(found)
    wanted = replace(SPEC, certificates=Certificates(extra_sans=("api.example",)))
    found = checked(pki(), everywhere(), spec=wanted)
    assert {(row.certificate, row.state) for row in found.wrong} == {("apiserver", State.SAN_MISSING)}
    assert {row.host for row in found.wrong} == {"m1", "m2", "m3", "w1"}
    rsa = replace(SPEC, certificates=Certificates(key_type=KeyType.RSA))
    assert {row.state for row in checked(pki(), everywhere(), spec=rsa).wrong} == {State.WRONG_KEY_TYPE}


def test_a_cas_end_is_the_cas_row_alone() -> None:
    spec = replace(SPEC, certificates=Certificates(ca_days=100))
    mine = issue.complete(Pki(), profiles(spec), now=THE_DAY, certificates=spec.certificates, entropy=SameEntropy())[0]
    found = checked(mine, [installed(mine, h.name, spec) for h in spec.hosts], spec=spec, days=80)
    assert bad(found) == {("", name, "pki", State.EXPIRING) for name in mine.cas}
    hints = {row.hint for row in found.rows if row.state is State.EXPIRING}
    assert hints == {f"invoke certs.rotate --ca {kind}" for kind in ("cluster", "etcd", "front-proxy")}


@pytest.mark.parametrize("name", ["ca", "etcd-ca", "front-proxy-ca", SERVICE_ACCOUNT])
def test_a_host_in_another_phase_of_a_rotation_differs_and_is_not_foreign(name: str) -> None:
    begun = rotate.begin(pki(), name, now=THE_DAY, certificates=SPEC.certificates, entropy=SameEntropy("next"))[0]
    promoted = again(rotate.promote(begun, name), *_signed_by(name), seed="promoted")
    dropped = rotate.drop(promoted, name)
    phases = [pki(), begun, promoted, dropped]
    looks = [[installed(has, host) for host in ("m1", "w1")] for has in phases]
    for number, mine in enumerate(phases[1:], 1):
        for other_number, there in enumerate(looks):
            if number == 1 and other_number > 1:
                continue  # nobody is ahead of what has just begun
            states = {state for *_, state in bad(checked(mine, there))}
            assert states == (set() if number == other_number else {State.DIFFERS}), f"phase {number} finds {other_number}"


def _signed_by(name: str) -> list[str]:
    return [p.id for p in profiles(SPEC) if p.issuer == name]


def test_a_rotation_that_signs_no_leaf_anew_yet_is_not_at_its_end() -> None:
    begun = rotate.begin(pki(), "etcd-ca", now=THE_DAY, certificates=SPEC.certificates, entropy=SameEntropy("next"))[0]
    promoted = rotate.promote(begun, "etcd-ca")
    found = checked(promoted, [installed(promoted, h.name) for h in SPEC.hosts])
    assert {(row.certificate, row.state) for row in found.wrong} == {
        (name, State.FORMER_CA) for name in ("etcd-server", "etcd-peer", "apiserver-etcd-client")
    }


def test_a_host_that_cannot_be_asked_is_a_row_and_no_proof() -> None:
    silent = Row(host="w1", certificate="", where="", state=State.UNREACHABLE, detail="no route to host")
    fine = checked(pki(), [installed(pki(), "m1")])
    found = replace(fine, rows=(*fine.rows, silent))
    assert found.exit_code == 3
    assert next(found.lines()) == (State.UNREACHABLE, "!!  w1  -  unreachable    no route to host  → invoke cluster.status")


def test_a_host_that_nothing_was_installed_on_is_one_row() -> None:
    bare = [replace(look, seen=Seen()) if look.host.name == "w1" else look for look in everywhere()]
    found = checked(pki(), bare)
    assert bad(found) == {("w1", "", "", State.MISSING)}
    assert [row.hint for row in found.wrong] == ["invoke cluster.up --limit w1"]


def test_json_holds_every_place_and_counts_states() -> None:
    looks = everywhere()
    data = checked(pki(), [CASES["another key"][0](looks[0]), *looks[1:]]).data()
    assert data["states"]["key-mismatch"] == 1
    assert [row for row in data["rows"] if row["state"] != "ok"] == [
        {
            "host": "m1",
            "certificate": "apiserver",
            "where": KEY,
            "state": "key-mismatch",
            "detail": "the key does not belong to the certificate",
            "days_left": None,
            "hint": "invoke certs.renew",
        }
    ]


def test_what_a_host_answers_is_read_back() -> None:
    answers = {
        "files": f"regular file|644|root:root|{CRT}\n{'a' * 64}  {CRT}\n",
        "certificates": f"file {CRT}\n{pki().pair('m1/apiserver').cert_pem.decode()}file {CONF}\n\n",
        "keys": f"file {KEY}\n{public(pki().pair('m1/apiserver').key_pem).decode()}file {CONF}\n",
        "units": f"Id=etcd.service\nLoadState=loaded\nActiveState=active\n\nstarted etcd.service\n{'b' * 64}  {CRT}\n",
    }
    seen = certificate_sh.parse(answers)
    assert seen.files[CRT].sha256 == "a" * 64
    assert inspect.fingerprint(seen.certificates[CRT]) == inspect.fingerprint(pki().pair("m1/apiserver").cert_pem)
    assert (seen.certificates[CONF], seen.keys[CONF], seen.blind) == (b"", b"", False)
    assert seen.started == {"etcd.service": {CRT: "b" * 64}}
    assert certificate_sh.parse({"keys": f"blind\nfile {KEY}\n"}).blind


def test_no_question_asks_for_a_key() -> None:
    for host in SPEC.hosts:
        for _, text in certificate_sh.sections(wants(SPEC, pki(), host.name), ["etcd.service"]):
            for line in text.splitlines():
                if "PRIVATE KEY" in line or "client-key-data" in line:
                    assert "| public 2>/dev/null" in line, "what reads a key hands it to the tool that tells the public one"


def test_digests_are_of_what_is_wanted() -> None:
    each = next(e for e in wants(SPEC, pki(), "m1") if e.file.name == KEY)
    assert each.file.sha256 == sha256(pki().pair("m1/apiserver").key_pem).hexdigest()
