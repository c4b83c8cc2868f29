"""The cluster as an auditor finds it: what daemons were told, who may read which file, and what those get who have no business there."""

from __future__ import annotations

import fnmatch
import json
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
import yaml

from kbootstrap.catalog import paths, ports
from kbootstrap.engine import prepare
from kbootstrap.errors import CommandError
from kbootstrap.model.events import silent
from kbootstrap.model.pki import Pki
from kbootstrap.remote.tls import served_certificate
from kbootstrap.store import pki_dir
from tests.lab.auditor import Auditor, Sealed, Seen, client, core, met
from tests.lab.conftest import Cluster

pytestmark = pytest.mark.lab

_ROWS: Final[list[dict[str, Any]]] = yaml.safe_load((Path(__file__).parents[1] / "cases/hardening.yml").read_text())
_OWN, _LOOPBACK = "own", "127.0.0.1"  # a host's own address; a place of a port
_TLS: Final = {
    "master": [
        *((_OWN, port) for port in (ports.API, ports.ETCD_CLIENT, ports.ETCD_PEER, ports.KUBELET)),
        *((_LOOPBACK, port) for port in (ports.API, ports.ETCD_CLIENT, ports.CONTROLLER_MANAGER, ports.SCHEDULER)),
    ],
    "worker": [(_OWN, ports.KUBELET), (_LOOPBACK, ports.API)],
}
_SERVED: Final = [pytest.param(kind, at, port.number, id=f"{kind}-{at}-{port.number}") for kind, served in _TLS.items() for at, port in served]
_COPIES: Final = f"/run/credentials {paths.ENDPOINT_RUN} {paths.RUN}"
_EVERYWHERE: Final = f"/etc /var {_COPIES} /run/log /root /home /tmp /opt"
_OURS: Final = f"/etc /var/log {_COPIES} /run/log /root /home /tmp /var/lib/kube* {paths.STATE}"  # no images, no database


@pytest.fixture(scope="module")
def hosts(cluster: Cluster) -> Iterator[dict[str, Auditor]]:
    """An auditor for every host, by its name, masters first."""
    prepared = prepare.prepare(cluster.folder, silent, dry=True)
    with cluster.request().connect(prepared) as pool:
        yield {host.name: Auditor(host=host, connection=pool.connection(host)) for host in prepared.spec.hosts}


@pytest.fixture(scope="module")
def auditors(hosts: Mapping[str, Auditor]) -> dict[str, Auditor]:
    """One for a master, one for a worker."""
    every = list(hosts.values())
    return {"master": every[0], "worker": every[-1]}


@pytest.fixture(scope="module")
def seen(auditors: Mapping[str, Auditor]) -> dict[str, Seen]:
    return {kind: auditor.look() for kind, auditor in auditors.items()}


@pytest.fixture(scope="module")
def pki(cluster: Cluster) -> Pki:
    return pki_dir.load(cluster.folder.pki)


_CASES: Final = [
    pytest.param(kind, row, id=f"{row['id']}-{kind}")
    for row in _ROWS
    for kind in (("master", "worker") if row["id"].startswith("4") else ("master",))
]


@pytest.mark.parametrize(("kind", "row"), _CASES)
def test_cis(seen: Mapping[str, Seen], kind: str, row: dict[str, Any]) -> None:
    for name, condition in row.get("holds", {}).items():
        value = seen[kind].value(row["of"], name)
        assert met(condition, value), f"{row['of']} {name}: {value}, want {condition}"
    if "file" in row:
        found = {path: stat for path, stat in seen[kind].files.items() if fnmatch.fnmatchcase(path, row["file"])}
        most, owner = int(row.get("mode", "7777"), 8), row.get("owner")
        assert found, f"no {row['file']}"
        assert {path: oct(mode) for path, (mode, _) in found.items() if mode & ~most} == {}
        assert {path: who for path, (_, who) in found.items() if owner and who != owner} == {}


def test_auditors_take_no_other_command_for_the_api_server_or_etcd(seen: Mapping[str, Seen]) -> None:
    """They search the process list for the word and read the flags of all that have it. The API server's flags cannot but name etcd."""
    binaries = {kind: {word: {line[0] for line in shown.commands if word in " ".join(line)} for word in ("kube-apiserver", "etcd")}
                for kind, shown in seen.items()}  # fmt: skip
    api, etcd = f"{paths.BIN}/kube-apiserver", f"{paths.BIN}/etcd"
    assert binaries == {"master": {"kube-apiserver": {api}, "etcd": {api, etcd}}, "worker": {"kube-apiserver": set(), "etcd": set()}}


@pytest.mark.parametrize("unit", ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kb-endpoint"])
def test_daemons_are_shut_in(auditors: Mapping[str, Auditor], unit: str) -> None:
    """systemd rates from 0 to 10 what a daemon that was taken over could reach. What runs the pods and their network needs the host."""
    answer = auditors["master"].ask(f"systemd-analyze security --no-pager {unit}.service")
    assert float(answer.rpartition(f"for {unit}.service: ")[2].split()[0]) < 4


@pytest.fixture(scope="module")
def secrets(cluster: Cluster, pki: Pki) -> dict[str, Sealed]:
    """Every key of the cluster by its profile, the CAs' apart, and the password of sudo."""
    found = {profile: Sealed(core(pair.key_pem)) for profile, pair in pki.pairs.items()}
    shared = {"sa": Sealed(core(pki.sa_key)), "encryption": Sealed(pki.sealing.readers[0].secret)}
    return found | shared | {"sudo": Sealed((cluster.lab.folder / "sudo.pass").read_bytes().strip())}


def test_the_search_finds_keys_where_they_lie(auditors: Mapping[str, Auditor], secrets: Mapping[str, Sealed]) -> None:
    """PEM, PEM in base64 within a kubeconfig, bare base64: what the searches below would find too."""
    host = auditors["master"].host.name
    names = (f"{host}/kubelet-server", f"{host}/kubelet-client", "encryption")
    found = [auditors["master"].files_with([secrets[name]], "/etc") for name in names]
    assert found == [{paths.key("kubelet-server")}, {paths.kubeconfig("kubelet")}, {paths.ENCRYPTION_CONFIG}]


def test_no_host_has_a_key_of_a_ca(hosts: Mapping[str, Auditor], pki: Pki) -> None:
    keys = [Sealed(core(ca.key_pem)) for ca in pki.cas.values()]
    assert len(keys) == 3
    assert {name: found for name, auditor in hosts.items() if (found := auditor.files_with(keys, _EVERYWHERE))} == {}


def test_hosts_have_no_keys_of_each_other(hosts: Mapping[str, Auditor], secrets: Mapping[str, Sealed]) -> None:
    for name, auditor in hosts.items():
        foreign = [secret for profile, secret in secrets.items() if "/" in profile and not profile.startswith(f"{name}/")]
        assert len(foreign) >= 4
        assert auditor.files_with(foreign, _OURS) == set(), name


def test_secrets_lie_only_where_their_owner_alone_reads(auditors: Mapping[str, Auditor], secrets: Mapping[str, Sealed]) -> None:
    """In logs least of all: of those, others may read some."""
    for auditor in auditors.values():
        found = sorted(auditor.files_with(secrets.values(), _OURS))
        assert len(found) >= 4
        stats = [line.split(" ", 1) for line in auditor.ask(f"stat -c '%a %n' {' '.join(found)}").splitlines()]
        assert {path: mode for mode, path in stats if int(mode, 8) & 0o077} == {}
        assert [path for path in found if path.startswith(("/var/log", "/run/log", "/tmp", "/home", "/root"))] == []


def test_no_process_shows_a_secret(hosts: Mapping[str, Auditor], secrets: Mapping[str, Sealed]) -> None:
    places = "/proc/[0-9]*/cmdline /proc/[0-9]*/environ"
    for auditor in hosts.values():
        shown = [Sealed(text) for text in (b"--config=/var/lib/kubelet/config.yaml", b"HTTP2_READ_IDLE_TIMEOUT_SECONDS")]
        assert {path.rpartition("/")[2] for path in auditor.files_with(shown, places)} == {"cmdline", "environ"}
        assert auditor.files_with(secrets.values(), places) == set()


def test_a_secret_is_sealed_at_rest_and_its_making_noted(cluster: Cluster, auditors: Mapping[str, Auditor], hosts: Mapping[str, Auditor]) -> None:
    """1.2.28, 3.2.1: etcd gets what secretbox made of it; who made it is in the audit log, and what it is in no log at all."""
    name, value = f"hardening-{uuid4().hex[:8]}", uuid4().hex
    manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"value": value}}
    cluster.kubectl("create", "-f", "-", text=yaml.safe_dump(manifest))
    try:
        key = paths.key("apiserver-etcd-client")
        access = f"--cacert={paths.ETCD_CA} --cert={paths.certificate('apiserver-etcd-client')} --key={key} --endpoints=https://127.0.0.1:2379"
        sealed = auditors["master"].ask(f"{paths.BIN}/etcdctl {access} get --print-value-only /registry/secrets/default/{name}")
        assert sealed.startswith("k8s:enc:secretbox:v1:key1:")
        masters = [hosts[host.name] for host in cluster.lab.masters]
        assert [auditor.files_with([Sealed(value.encode())], f"{paths.ETCD_DATA} /var/log /run/log") for auditor in masters] == [set()] * len(masters)
        noted = [json.loads(line) for auditor in masters for line in auditor.ask(f"grep -s {name} {paths.AUDIT_LOG}").splitlines()]
        created = [(entry["level"], entry["user"]["username"]) for entry in noted if entry["verb"] == "create"]
        assert created == [("Metadata", "kubernetes-admin")]
    finally:
        cluster.kubectl("delete", "secret", name)


@pytest.mark.parametrize(("kind", "at", "port"), _SERVED)
def test_old_tls_is_refused(auditors: Mapping[str, Auditor], kind: str, at: str, port: int) -> None:
    """Where current TLS is understood, neither TLS 1.1 nor a suite without authenticated encryption is."""
    auditor = auditors[kind]
    address = at if at != _OWN else str(auditor.host.address)
    assert served_certificate(auditor.connection, address, port)
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        auditor.knock(address, port, client(newest=ssl.TLSVersion.TLSv1_1, ciphers="ALL:@SECLEVEL=0"))
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
        auditor.knock(address, port, client(newest=ssl.TLSVersion.TLSv1_2, ciphers="ECDHE+AES+SHA1:ECDHE+AES+SHA256:AES128-GCM-SHA256:!ECDHE+AESGCM"))


@pytest.mark.parametrize(
    ("kind", "at", "port", "target"),
    [
        *(("master", _OWN, ports.API.number, target) for target in ("/", "/api/v1/secrets", "/version", "/readyz", "/metrics", "/debug/pprof/")),
        *((kind, _OWN, ports.KUBELET.number, target) for kind in ("master", "worker") for target in ("/pods", "/metrics", "/healthz", "/logs/")),
        *(("master", _LOOPBACK, port.number, "/metrics") for port in (ports.CONTROLLER_MANAGER, ports.SCHEDULER)),
    ],
)
def test_nobody_is_anonymous(cluster: Cluster, auditors: Mapping[str, Auditor], kind: str, at: str, port: int, target: str) -> None:
    auditor = auditors[kind]
    address = at if at != _OWN else str(auditor.host.address)
    assert auditor.status(address, port, target, client()) in (401, 403)
    assert auditor.status(address, port, target, client(cluster.folder.pki / "users/admin.pem")) in (200, 404)


@pytest.mark.parametrize("port", [ports.ETCD_CLIENT.number, ports.ETCD_PEER.number])
def test_etcd_talks_to_nobody_without_a_certificate_of_its_own_ca(cluster: Cluster, auditors: Mapping[str, Auditor], port: int) -> None:
    auditor = auditors["master"]
    for stranger in (client(), client(cluster.folder.pki / "users/admin.pem")):
        with pytest.raises(ssl.SSLError, match=r"CERTIFICATE|UNKNOWN_CA"):
            auditor.status(str(auditor.host.address), port, "/version", stranger)


def test_the_certificate_of_health_checks_opens_nothing(cluster: Cluster, auditors: Mapping[str, Auditor]) -> None:
    address, stranger = str(auditors["master"].host.address), client(cluster.folder.pki / f"hosts/{cluster.lab.workers[0].name}/endpoint-health.pem")
    asked = {target: auditors["worker"].status(address, ports.API.number, target, stranger) for target in ("/readyz", "/api/v1/secrets", "/metrics")}
    assert asked == {"/readyz": 200, "/api/v1/secrets": 403, "/metrics": 403}


def test_nobody_profiles(cluster: Cluster, auditors: Mapping[str, Auditor]) -> None:
    """Not even an operator, who is heard on the same ports."""
    master, admin = auditors["master"], client(cluster.folder.pki / "users/admin.pem")
    own, member = str(master.host.address), client(cluster.folder.pki / f"hosts/{master.host.name}/apiserver-etcd-client.pem")
    operators = [(own, ports.API), (own, ports.KUBELET), (_LOOPBACK, ports.CONTROLLER_MANAGER), (_LOOPBACK, ports.SCHEDULER)]
    plain = [(_LOOPBACK, ports.PROXY_METRICS), (_LOOPBACK, ports.ETCD_METRICS)]
    doors = [*((*door, admin) for door in operators), (own, ports.ETCD_CLIENT, member), *((*door, None) for door in plain)]
    for address, port, who in doors:
        answers = [master.status(address, port.number, target, who) for target in ("/metrics", "/debug/pprof/", "/debug/pprof/heap")]
        assert answers in ([200, 404, 404], [200, 405, 405]), port.name  # 405: how kubelet says that it is switched off


@pytest.mark.parametrize(("kind", "more"), [("master", (ports.API, ports.ETCD_CLIENT, ports.ETCD_PEER)), ("worker", ())])
def test_nothing_else_listens(auditors: Mapping[str, Auditor], kind: str, more: tuple[ports.Port, ...]) -> None:
    """Beyond loopback: above all not kubelet's read-only port."""
    open_ = {number for loopback, number in auditors[kind].listening() if not loopback}
    assert open_ == {port.number for port in (ports.SSH, ports.KUBELET, ports.PROXY_HEALTH, *more)}
    with pytest.raises(CommandError):
        auditors[kind].connection.dial(str(auditors[kind].host.address), 10255)
