"""``cluster.status`` of hosts that answer as told: what is well is short, what is not says where, why and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from kbootstrap.catalog import names
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.request import Request
from kbootstrap.engine.status import status
from kbootstrap.errors import ConnectError
from kbootstrap.model.events import silent
from kbootstrap.model.host import Host
from kbootstrap.model.pki import Pki
from kbootstrap.model.status import Status, span
from kbootstrap.pki import issue, rotate
from kbootstrap.pki.profiles import CAS, PLACES, profiles
from kbootstrap.plan import condition
from kbootstrap.remote import lock
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Pool
from kbootstrap.report.status import lines
from kbootstrap.store import clock, pki_dir
from kbootstrap.store.entropy import SystemEntropy
from kbootstrap.store.folder import Folder
from kbootstrap.testing.builders import SameEntropy, a_cluster
from kbootstrap.testing.fake_host import FakeHost, reading

Sections = dict[str, tuple[int, bytes]]
ID = "6568bd51-8664-40be-8ecb-4186f47b149c"
ALL = ("kb-firewall", "containerd", "kb-endpoint", "kubelet", "kube-proxy", "kb-routes")
MASTERS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
VERSIONS = {
    "containerd": "containerd github.com/containerd/containerd/v2 2.3.4 ",
    "etcd": "etcd Version: 3.6.14",
    "kb-endpoint": "",
    "kb-firewall": "",
    "kb-routes": "",
}
INVENTORY = {
    "cluster": "lab",
    "kubernetes": "1.36.3",
    "versions": {"etcd": "3.6.14", "containerd": "2.3.4"},
    "hosts": {
        "masters": {f"m{n}": {"address": f"10.77.0.1{n}"} for n in (1, 2, 3)},
        "workers": {"w1": {"address": "10.77.0.21"}},
    },
}
ADDRESSES = {"m1": "10.77.0.11", "m2": "10.77.0.12", "m3": "10.77.0.13", "w1": "10.77.0.21"}
MEMBER_IDS = {"m1": 101, "m2": 102, "m3": 103}


def unit(name: str, *, active: str = "active", sub: str = "running", result: str = "success", changed_s: float = 1000.0) -> str:
    lines = (f"Id={name}.service", "LoadState=loaded", f"ActiveState={active}", f"SubState={sub}", f"Result={result}", "NRestarts=3")
    return "\n".join((*lines, f"StateChangeTimestampMonotonic={changed_s * 1e6:.0f}"))


def units(host: str, **other: str) -> bytes:
    """All units of *host* active for 8,200 s of an uptime of 9,200; *other* replaces what ``systemctl show`` says of one (- as _)."""
    names = ALL + (MASTERS if host.startswith("m") else ())
    shown = [other.get(name.replace("-", "_"), unit(name)) for name in names]
    versions = [f"version {name}.service {VERSIONS.get(name, 'Kubernetes v1.36.3')}" for name in names if VERSIONS.get(name, "x")]
    return ("now 9200.5\n" + "\n\n".join(shown) + "\n" + "\n".join(versions) + "\n").encode()


def etcd(host: str, *, leader: int = 101) -> bytes:
    status_ = {"header": {"member_id": MEMBER_IDS[host]}, "version": "3.6.14", "dbSize": 25_000_000, "leader": leader}
    members = {"members": [{"ID": number, "name": name} for name, number in MEMBER_IDS.items()]}
    return f"{json.dumps([{'Endpoint': 'x', 'Status': status_}])}\n{json.dumps(members)}\n".encode()


def certificate(days: float) -> bytes:
    """A certificate with *days* left, as the read brings it."""
    spec = a_cluster(1, 0)
    then = clock.now() + timedelta(days=days - spec.certificates.leaf_days)
    pki, _ = issue.complete(Pki(), profiles(spec), now=then, certificates=spec.certificates, entropy=SameEntropy())
    return b"file /etc/kubernetes/pki/apiserver.crt\n" + pki.pair("m1/apiserver").cert_pem


def healthy(host: str) -> Sections:
    facts = (
        f"clock={clock.epoch_s()}\nhostname={host}\narch=x86_64\nkernel=6.1.0\nos=debian 12\nsystemd=252\ncgroup=v2\n"
        f"machine_id={host}\n2: eth0    inet {ADDRESSES[host]}/24 scope global eth0\n"
    )
    ledger = {"cluster_id": ID, "cluster": "lab", "version": "1", "entries": {}}
    found: Sections = {
        "facts": (0, facts.encode()),
        "ledger": (0, json.dumps(ledger).encode()),
        "machine": (0, b"up 9000\ndisk 37% /\n"),
        "units": (0, units(host)),
        "certificates": (0, b""),
    }
    if host.startswith("m"):
        nodes = "".join(f"{name}\tTrue\tkubelet is posting ready status\n" for name in ADDRESSES)
        found |= {"etcd": (0, etcd(host)), "readyz": (0, b"ok"), "nodes": (0, nodes.encode())}
    return found


Look = Callable[..., Status]


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """``look(w1={"units": …})``: status of a whole cluster whose hosts answer so instead; None is a host that cannot be reached."""
    folder = Folder(root=tmp_path)
    folder.cluster_yml.write_text(yaml.safe_dump(INVENTORY))
    folder.state.write_text(yaml.safe_dump({"cluster_id": ID}))

    def connect(host: Host, changes: Sections | None) -> Connection:
        if changes is None:
            raise ConnectError("connection refused", hint="Is sshd running?")
        return FakeHost(host=host.name, scripts=[reading({**healthy(host.name), **changes})])

    def run(**changes: Sections | None) -> Status:
        def pool(prepared: Prepared) -> Pool:
            return Pool(prepared.spec.hosts, lambda host: connect(host, changes.get(host.name, {})))

        return status(Request(folder=folder, listener=silent, connect=pool))

    return run


Keep = Callable[[Pki], None]


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    """The PKI directory of the cluster that ``look`` looks at."""
    return lambda pki: pki_dir.save(Folder(root=tmp_path).pki, pki, ())


def a_pki(age_d: float = 0.0) -> Pki:
    """Another one at each call."""
    spec = a_cluster(1, 0)
    then = clock.now() - timedelta(days=age_d)
    return issue.complete(Pki(), profiles(spec), now=then, certificates=spec.certificates, entropy=SystemEntropy())[0]


def holding(pki: Pki, *more: tuple[str, bytes]) -> tuple[int, bytes]:
    """The section of a master's certificates: the CAs of *pki*, and *more* (path, PEM)."""
    files = [*((PLACES[name].cert, pki.cas[name].cert_pem) for name in CAS), *more]
    return 0, b"".join(b"file %s\n%s" % (path.encode(), pem) for path, pem in files)


def screen(found: Status) -> str:
    return "\n".join(lines(found))


def bad(found: Status) -> list[str]:
    """The lines that are not well, without those that only count."""
    return [line.strip() for line in lines(found) if "→" in line]


def test_a_healthy_cluster_is_one_screen_without_a_hint(look: Look) -> None:
    found = look(m1={"certificates": (0, certificate(200))})
    assert found.healthy
    assert bad(found) == []
    text = screen(found)
    assert text.startswith("lab  Kubernetes 1.36.3  healthy\n")
    assert "m1  master  debian 12  6.1.0  up 2 h  10/10 units  certificates 200 d" in text
    assert "containerd.service               2.3.4     4 of 4 active, for 2 h" in text
    assert "m1  leader    3.6.14  25 MB  knows m1, m2, m3" in text
    assert "4 of 4 Ready" in text
    assert len(text.splitlines()) <= 25
    assert json.loads(json.dumps(found.data()))["healthy"] is True


def test_a_host_that_is_down_is_a_row_with_the_reason_and_the_others_are_shown(look: Look) -> None:
    found = look(w1=None)
    assert not found.healthy
    assert "!!  w1  worker  cannot be read: connection refused  → Is sshd running?" in bad(found)
    assert [host.name for host in found.hosts if host.ok] == ["m1", "m2", "m3"]
    assert found.nodes


def test_two_of_three_masters_down_is_said_to_be_a_lost_quorum(look: Look) -> None:
    found = look(
        m1=None, m2=None, m3={"etcd": (1, b"Failed to get the status (context deadline exceeded)\nnull\n"), "readyz": (1, b""), "nodes": (1, b"")}
    )
    text = screen(found)
    assert "1 of 3 masters can be read: without a majority etcd serves nothing" in text
    assert "m3  Failed to get the status (context deadline exceeded)  → On m3: journalctl -u etcd -n 50" in text
    assert "not known: no API server answers" in text


def test_a_member_without_a_leader_and_one_that_says_nonsense(look: Look) -> None:
    lonely = etcd("m1").replace(b', "leader": 101', b"")
    found = look(m1={"etcd": (0, lonely)}, m2={"etcd": (0, b"[{}]\n{}\n")}, m3={"etcd": (0, b"[{cut sho")})
    assert [member.reason for member in found.members] == [
        "knows no leader: its etcd has no quorum",
        "answers what cannot be read: {}",
        "answers what cannot be read: [{cut sho",
    ]
    assert not found.healthy


def test_a_stopped_kube_proxy_is_named_with_its_host(look: Look) -> None:
    stopped = unit("kube-proxy", active="failed", sub="failed", result="exit-code", changed_s=9140)
    found = look(w1={"units": (0, units("w1", kube_proxy=stopped))})
    assert not found.healthy
    assert bad(found) == ["w1 failed exit-code for 60 s, 3 restarts  → On w1: journalctl -u kube-proxy.service -n 50"]
    assert "!!  kube-proxy.service" in screen(found)


def test_a_stopped_kubelet_shows_in_its_nodes_row(look: Look) -> None:
    nodes = b"m1\tTrue\tfine\nm2\tTrue\tfine\nm3\tTrue\tfine\nw1\tUnknown\tKubelet stopped posting node status.\n"
    found = look(m1={"nodes": (0, nodes)})
    assert bad(found) == ["w1 Ready is Unknown: Kubelet stopped posting node status.  → On w1: journalctl -u kubelet -n 50"]


def test_a_node_that_never_registered_is_said(look: Look) -> None:
    found = look(m1={"nodes": (0, b"m1\tTrue\tok\nm2\tTrue\tok\nm3\tTrue\tok\n")})
    assert bad(found) == ["w1 is not registered  → On w1: journalctl -u kubelet -n 50"]


def test_nodes_are_asked_of_the_next_master_when_the_first_does_not_answer(look: Look) -> None:
    found = look(m1={"readyz": (1, b"The connection was refused"), "nodes": (1, b"")})
    assert len(found.nodes) == 4
    assert bad(found) == ["m1: The connection was refused  → On m1: journalctl -u kube-apiserver -n 50"]


def test_a_program_of_another_version_that_still_runs_is_found(look: Look) -> None:
    old = units("m2").replace(b"version kubelet.service Kubernetes v1.36.3", b"version kubelet.service Kubernetes v1.36.2")
    found = look(m2={"units": (0, old)})
    assert bad(found) == ["m2 runs 1.36.2, want 1.36.3  → invoke cluster.up"]


def test_units_of_a_host_without_anything_are_absent(look: Look) -> None:
    absent = "\n\n".join(f"Id={name}.service\nLoadState=not-found\nActiveState=inactive" for name in ALL)
    found = look(w1={"units": (0, f"now 9200\n{absent}\n".encode())})
    assert bad(found) == ["w1 does not have it  → invoke cluster.up"] * len(ALL)


def test_the_causes_of_a_clusters_death_are_named(look: Look) -> None:
    late = healthy("m2")["facts"][1].replace(b"clock=", b"clock=1")  # some centuries ahead
    stranger = json.dumps({"cluster_id": "other", "cluster": "prod", "version": "1", "entries": {}}).encode()
    found = look(
        m1={"machine": (0, b"up 1\ndisk 99% /var\n"), "certificates": (0, certificate(-2))},
        m2={"facts": (0, late)},
        m3={"ledger": (0, stranger)},
        w1={"ledger": (0, b"{"), "certificates": (0, certificate(5))},
    )
    assert not found.healthy
    troubles = {(each.where, each.warning): each.what for each in found.troubles if "expire" not in each.what}
    assert troubles["m1", False] == "/var is 99 % full"
    assert "its clock is" in troubles["m2", False]
    assert "belongs to another cluster, «prod»" in troubles["m3", False]
    assert "is damaged" in troubles["w1", False]
    expiring = {each.where: (each.what, each.warning) for each in found.troubles if "expire" in each.what}
    assert expiring["m1"] == ("/etc/kubernetes/pki/apiserver.crt expired 2 days ago", False)
    assert expiring["w1"] == ("/etc/kubernetes/pki/apiserver.crt expires 5 days from now", True)


def test_a_pki_that_cannot_be_read_is_said_once_and_no_host_is_called_anothers(look: Look, keep: Keep, tmp_path: Path) -> None:
    keep(a_pki())
    (tmp_path / "pki/sa.key").chmod(0o644)
    facts = {name: {"facts": (0, healthy(name)["facts"][1] + b"ca_sha256=" + b"a" * 64 + b"\n")} for name in ADDRESSES}
    found = look(**facts)
    (trouble,) = found.troubles
    assert trouble.where == "cluster"
    assert trouble.what.startswith("the PKI cannot be read: The PKI is open to others: ")
    assert trouble.hint.startswith("Close it: chmod")
    assert found.healthy, "what is wrong here is wrong with this machine"


def test_any_ca_that_is_not_ours_is_named_and_ours_of_every_phase_is_not(look: Look, keep: Keep) -> None:
    ours, theirs = a_pki(), a_pki()
    begun, _ = rotate.begin(ours, names.ETCD_CA, now=clock.now(), certificates=a_cluster().certificates, entropy=SystemEntropy())
    keep(begun)
    found = look(m1={"certificates": holding(ours)}, m2={"certificates": holding(theirs)}, m3={"certificates": holding(begun)})
    strange = {(each.where, each.what) for each in found.troubles if each.id == "authority"}
    assert strange == {("m2", f"{path} is another CA's") for path in ("/etc/etcd/pki/ca.crt", "/etc/kubernetes/pki/front-proxy-ca.crt")}


def test_a_ca_at_its_end_is_rotated_and_what_is_not_ours_is_not_judged(look: Look, keep: Keep) -> None:
    old = a_pki(age_d=a_cluster().certificates.ca_days - 3)
    found = look(m1={"certificates": holding(old)}, m2={"certificates": (0, b"file /etc/kubernetes/pki/mine.crt\nnonsense\n")})
    (trouble,) = found.troubles
    assert trouble.what == "/etc/kubernetes/pki/ca.crt expires 3 days from now"
    assert trouble.hint == "invoke certs.rotate --ca cluster replaces it while the cluster serves."
    etcds = holding(old)[1].partition(b"file /etc/etcd")
    (trouble,) = look(m1={"certificates": (0, b"".join(etcds[1:]))}).troubles
    assert "--ca etcd " in trouble.hint


@pytest.mark.parametrize(("kind", "hint"), [("NOSPACE", "invoke etcd.defrag"), ("CORRUPT", "invoke etcd.alarms --disarm")])
def test_an_alarm_of_etcd_is_named_once_with_its_way_out(look: Look, kind: str, hint: str) -> None:
    alarmed = b', "errors": ["memberID:102 alarm:%s "], "leader"' % kind.encode()
    found = look(**{name: {"etcd": (0, etcd(name).replace(b', "leader"', alarmed))} for name in MEMBER_IDS})
    (trouble,) = found.troubles
    assert (trouble.id, trouble.where, trouble.what) == ("alarm", "m2", f"etcd's alarm {kind}")
    assert hint in trouble.hint
    assert not found.healthy
    assert next(line.split()[:2] for line in lines(found) if f"alarm {kind}" in line) == ["!!", "m2"]


def test_a_file_system_without_blocks_is_no_full_disk(look: Look) -> None:
    found = look(w1={"machine": (0, b"up 9000\ndisk - /var/log\ndisk 37% /\n")})
    assert found.healthy
    assert next(host for host in found.hosts if host.name == "w1").disks == {"/": 37}


def test_keys_never_leave_the_hosts() -> None:
    programs = condition.sections(a_cluster(1, 0).hosts[0], ("kubelet.service",), ("kubelet.service",))
    texts = dict(programs)["certificates"]
    assert "BEGIN CERTIFICATE" in texts
    assert "key-data" not in texts
    assert "cat " not in texts


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (7200, "2 h"), (864000, "10 d")])
def test_durations_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_a_unit_that_ends_again_and_again_is_explained_by_its_last_words(look: Look) -> None:
    looping = unit("kubelet", changed_s=9195.5)
    said = b"unit kubelet.service\nI1121 starting\nError: unknown flag: --bogus\n"
    found = look(w1={"units": (0, units("w1", kubelet=looping)), "words": (0, said)})
    assert not found.healthy
    assert bad(found)[0].startswith("w1 active running for 5 s, 3 restarts: it does not know the flag --bogus  → invoke cluster.up writes")


def test_what_is_bound_to_a_stopped_unit_names_that_one(look: Look) -> None:
    stopped = {"etcd": unit("etcd", active="inactive", sub="dead"), "kube_apiserver": unit("kube-apiserver", active="inactive", sub="dead")}
    found = look(m3={"units": (0, units("m3", **stopped)), "etcd": (1, b""), "readyz": (1, b"")})
    assert [line for line in bad(found) if line.startswith("m3 inactive")] == [
        "m3 inactive dead for 8200 s, 3 restarts: somebody stopped it  → On m3: systemctl start etcd.service".replace("8200 s", "2 h"),
        "m3 inactive dead for 2 h, 3 restarts: it stops and starts with etcd.service  → On m3: systemctl start etcd.service",
    ]


def test_two_of_three_members_that_do_not_serve_are_a_lost_quorum(look: Look) -> None:
    silent = (1, b"context deadline exceeded\n")
    found = look(m1={"etcd": silent}, m2={"etcd": silent})
    assert [each.what for each in found.troubles if each.id == "quorum"] == [
        "1 of 3 etcd members serve: without a majority nothing is written or read"
    ]


def test_who_holds_our_port_and_who_swaps_is_named(look: Look) -> None:
    holder = b"socket=tcp 127.0.0.1:10250 77 /system.slice/squatter.service socat\n"
    facts = healthy("m2")["facts"][1] + b"swap=1\n"
    found = look(w1={"survey": (0, holder)}, m2={"facts": (0, facts)})
    told = {each.id: (each.where, each.what, each.hint) for each in found.troubles}
    assert told == {
        "port": (
            "w1",
            "tcp 10250 (kubelet API) is held by pid 77 (socat) of squatter.service",
            "Run there: systemctl disable --now squatter.service.",
        ),
        "swap": ("m2", "swaps, and kubelet will not start", "invoke cluster.up switches it off."),
    }


def test_a_port_that_is_listened_at_and_not_reached_is_named_with_those_who_do_not(look: Look) -> None:
    serving = b"socket=tcp *:6443 1 /system.slice/kube-apiserver.service kube-apiserver\n"
    ledger = json.dumps({"cluster_id": ID, "cluster": "lab", "version": "1", "entries": {"service/kube-apiserver.service": {"kind": "service"}}})
    found = look(m1={"survey": (0, serving), "ledger": (0, ledger.encode())})
    reach = [each for each in found.troubles if each.id == "reach"]
    assert [(each.where, each.what) for each in reach] == [
        ("m1", "does not answer m2, m3, w1 at tcp 6443 (Kubernetes API), where it listens: connection refused")
    ]


def test_what_stands_still_while_another_run_is_at_work_may_be_its_doing(look: Look) -> None:
    other = lock.Owner(who="ann@desk", pid=4242, since="2026-01-02T03:04:05+00:00", command="cluster.up")
    held = (0, f"77 {json.dumps(asdict(other))}\n".encode())
    idle = {"kubelet": unit("kubelet", active="inactive", sub="dead", changed_s=0.0), "kube_proxy": unit("kube-proxy", active="inactive", sub="dead")}
    found = look(m1={"lock": held}, w1={"lock": held, "units": (0, units("w1", **idle))})
    assert [(each.where, each.what, each.warning) for each in found.troubles] == [("m1, w1", f"another run is at work: {other}", True)]
    assert [line for line in bad(found) if line.startswith("w1 inactive")] == [
        "w1 inactive dead, 3 restarts: a run is at work on its host  → invoke cluster.status once that has ended",
        "w1 inactive dead for 2 h, 3 restarts: a run is at work on its host  → invoke cluster.status once that has ended",
    ]


def test_a_run_does_not_take_itself_for_another(look: Look) -> None:
    mine = f"77 {json.dumps(asdict(lock.Owner.here('cluster.up')))}\n".encode()
    assert look(m1={"lock": (0, mine)}).troubles == ()
