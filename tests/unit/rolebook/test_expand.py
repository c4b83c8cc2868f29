"""Role × host → resources: what each key of a role becomes, in an order that a host can be made in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from kbootstrap.catalog import paths
from kbootstrap.errors import RoleError
from kbootstrap.model.cluster import ClusterSpec, Endpoint, EndpointKind, Network, Plugin
from kbootstrap.model.host import Host, HostPrep
from kbootstrap.model.resource import Binary, Blob, ContainerImage, File, Resource, Service
from kbootstrap.render.env import Renderer
from kbootstrap.resources.firewall import script
from kbootstrap.rolebook.expand import World, applies, expand
from kbootstrap.rolebook.openings import openings
from kbootstrap.rolebook.parse import role
from kbootstrap.rolebook.role import RoleDef
from kbootstrap.testing.builders import a_cluster, a_pki

BLOB = Blob(sha256="a" * 64, size=1, path=Path("x"))
SPEC = a_cluster(1, 1)

ROLE = """\
name: x
on: master
rollout: serial
packages: [haproxy]
users: [{name: etcd, home: /var/lib/etcd}]
directories: [{path: /etc/x, mode: 0750, owner: etcd}, {path: /etc/y}]
modules: [overlay]
sysctl: {net.ipv4.ip_forward: "1", vm.overcommit_memory: "1"}
swap: off
binaries: [etcd, {name: etcd, path: /usr/local/bin/kb-endpoint}]
images: [pause]
certs: [etcd-ca, etcd-server, sa, encryption]
kubeconfigs: [admin, kubelet]
files: [{path: /etc/x/conf, template: conf.j2, mode: 0640, owner: etcd}]
service: {unit: x.service, template: unit.j2}
"""


def world(tmp_path: Path, spec: ClusterSpec = SPEC, *, pause: Blob | None = BLOB) -> World:
    (tmp_path / "conf.j2").write_text("I am {{ host.name }}\n")
    (tmp_path / "unit.j2").write_text("{{ inputs.unit }}: {{ inputs.files | join(' ') }} {{ inputs.binaries | join(' ') }}\n")
    return World(
        spec=spec,
        pki=a_pki(1, 1),
        renderer=Renderer((tmp_path,)),
        pod_ranges={host.name: IPv4Network("10.244.0.0/24") for host in spec.hosts},
        binaries={"amd64": {"etcd": BLOB}},
        images={"amd64": {"pause": ("registry.example/pause:1", pause), "coredns": ("registry.example/coredns:1", pause)}},
    )


def expanded(tmp_path: Path, text: str = ROLE, host: str = "m1", **more: Any) -> list[Resource]:
    made = world(tmp_path, **more)
    return list(expand(made, role(text, "role.yml"), made.spec.host(host)))


def of(resources: list[Resource], key: str) -> Any:
    (found,) = [resource for resource in resources if resource.key == key]
    return found


def test_everything_comes_before_what_needs_it(tmp_path: Path) -> None:
    kinds = [resource.kind for resource in expanded(tmp_path)]
    others = [kind for kind in dict.fromkeys(kinds) if kind != "file"]
    assert others == ["package", "user", "directory", "module", "sysctl", "swap", "binary", "service", "image"]
    assert kinds.index("service") > max(n for n, kind in enumerate(kinds) if kind in ("file", "binary", "directory", "user"))


def test_owners_are_user_and_group(tmp_path: Path) -> None:
    resources = expanded(tmp_path)
    assert (of(resources, "/etc/x").owner, of(resources, "/etc/x").mode) == ("etcd:etcd", 0o750)
    assert of(resources, "/etc/y").owner == "root:root"
    assert (of(resources, "/etc/x/conf").owner, of(resources, "/etc/x/conf").mode) == ("etcd:etcd", 0o640)


def test_keys_are_secret_and_closed_and_certificates_are_not(tmp_path: Path) -> None:
    files = [resource for resource in expanded(tmp_path) if isinstance(resource, File)]
    for file in files:
        assert file.secret or b"PRIVATE KEY" not in file.content, file.name
        assert not file.secret or file.mode == 0o600, file.name
    assert {file.name for file in files if file.secret} == {
        "/etc/etcd/pki/server.key", paths.SA_KEY, paths.ENCRYPTION_CONFIG, paths.ADMIN_CONF, paths.kubeconfig("kubelet"),
    }  # fmt: skip


def test_no_ca_key_reaches_a_host(tmp_path: Path) -> None:
    pki = a_pki(1, 1)
    keys = {pair.key_pem for pair in pki.cas.values()}
    assert not [file for file in expanded(tmp_path) if isinstance(file, File) and any(key in file.content for key in keys)]


def test_a_service_depends_on_all_that_it_is_started_with(tmp_path: Path) -> None:
    resources = expanded(tmp_path)
    service = of(resources, "service/x.service")
    assert isinstance(service, Service)
    assert service.serial
    assert service.binaries == ("/usr/local/bin/etcd", "/usr/local/bin/kb-endpoint")
    at_boot = ("/etc/sysctl.d", "/etc/modules-load.d")  # not the daemon's business
    files = {file.name: file.sha256 for file in resources if isinstance(file, File) and not file.name.startswith(at_boot)}
    assert service.inputs == files, "the unit itself is one of them"
    unit = of(resources, paths.unit("x.service"))
    assert unit.content.decode().split() == ["x.service:", *(name for name in service.inputs if name != unit.name), *service.binaries]


def test_inputs_that_a_daemon_reads_again_by_itself_are_left_out(tmp_path: Path) -> None:
    text = ROLE.replace("template: unit.j2}", "template: unit.j2, inputs: [files]}")
    service = of(expanded(tmp_path, text), "service/x.service")
    assert set(service.inputs) == {"/etc/x/conf", paths.unit("x.service")}
    assert service.binaries == ()


def test_an_artifact_may_lie_at_a_second_path(tmp_path: Path) -> None:
    resources = expanded(tmp_path)
    assert [(r.name, r.blob) for r in resources if isinstance(r, Binary)] == [("/usr/local/bin/etcd", BLOB), ("/usr/local/bin/kb-endpoint", BLOB)]


@pytest.mark.parametrize(
    ("prep", "kinds"),
    [
        (HostPrep(), {"module", "sysctl", "swap"}),
        (HostPrep(swap="leave", sysctl="leave", modules="leave"), set()),
        (HostPrep(swap="leave", sysctl="namespaced", modules="leave"), {"sysctl"}),
    ],
)
def test_a_host_may_keep_its_kernel_as_it_is(tmp_path: Path, prep: HostPrep, kinds: set[str]) -> None:
    spec = replace(SPEC, hosts=tuple(replace(host, host=prep) for host in SPEC.hosts))
    resources = expanded(tmp_path, spec=spec)
    assert {resource.kind for resource in resources} & {"module", "sysctl", "swap"} == kinds
    if prep.sysctl == "namespaced":
        assert [r.name for r in resources if r.kind == "sysctl"] == ["net.ipv4.ip_forward"]


def test_images_come_as_a_bundle_or_are_pulled_by_the_host(tmp_path: Path) -> None:
    assert of(expanded(tmp_path), "image/registry.example/pause:1") == ContainerImage(name="registry.example/pause:1", blob=BLOB)
    assert not [r for r in expanded(tmp_path, pause=None) if r.kind == "image"]


@pytest.mark.parametrize(("old", "new", "said"), [("etcd-server", "etcd-servant", "«etcd-servant»"), ("[etcd,", "[etdc,", "«etdc»")])
def test_an_unknown_name_says_which_role_and_what_is_known(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(RoleError, match=said) as caught:
        expanded(tmp_path, ROLE.replace(old, new))
    assert "roles/x/role.yml" in str(caught.value)
    assert "etcd" in caught.value.hint


def a_role(**more: Any) -> RoleDef:
    return replace(role("name: x\non: all\n", "role.yml"), **more)


def test_a_role_is_for_masters_workers_or_all_and_for_who_is_both() -> None:
    master, worker = SPEC.hosts
    both = replace(master, roles=master.roles | worker.roles)
    on: Callable[[str, Host], bool] = lambda where, host: applies(role(f"name: x\non: {where}\n", "role.yml"), SPEC, host)  # noqa: E731
    assert [[on(where, host) for host in (master, worker, both)] for where in ("master", "worker", "all")] == [
        [True, False, True],
        [False, True, True],
        [True, True, True],
    ]


@pytest.mark.parametrize(
    ("when", "spec", "wanted"),
    [
        ("endpoint-haproxy", SPEC, True),
        ("endpoint-haproxy", replace(SPEC, endpoint=Endpoint(kind=EndpointKind.GATEWAY)), False),
        ("endpoint-gateway", replace(SPEC, endpoint=Endpoint(kind=EndpointKind.GATEWAY)), True),
        ("plugin-bridge", replace(SPEC, network=Network(plugin=Plugin.VXLAN)), True),
        ("plugin-bridge", replace(SPEC, network=Network(plugin=Plugin.NONE)), False),
    ],
)
def test_when_asks_the_spec(when: str, spec: ClusterSpec, wanted: bool) -> None:
    assert applies(a_role(when=when), spec, spec.hosts[0]) is wanted


def test_what_hosts_alike_have_in_common_is_worked_out_once() -> None:
    """The rules of a firewall name every host: made for each of 1000 hosts anew, they would be the most of a plan."""
    spec = a_cluster(1, 2)
    first, second, master = (openings(spec, spec.host(name)) for name in ("w1", "w2", "m1"))
    assert first is second
    assert first is not master
    assert script.complete(first, (22,)) is script.complete(second, (22,))
    assert script.build(script.complete(first, (22,))) is script.build(script.complete(second, (22,)))
    assert script.build(script.complete(first, (2222,))) != script.build(script.complete(first, (22,)))
    other = replace(spec, hosts=spec.hosts[:-1])
    assert openings(other, other.host("w1")) != first
