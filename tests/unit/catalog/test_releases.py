"""The catalog's table is whole: every binary has a component, a version, an address and a way to be built."""

from __future__ import annotations

import pytest

from kbootstrap.catalog import releases
from kbootstrap.catalog.releases import Checksum
from kbootstrap.errors import ArtifactError, UsageError

KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl")
RUNTIME = ("containerd", "containerd-shim-runc-v2", "ctr", "runc", "bridge", "loopback", "host-local", "portmap")
EVERY = (*KUBERNETES, "etcd", "etcdctl", "etcdutl", *RUNTIME)


def test_knows_every_binary_that_hosts_get() -> None:
    assert set(releases.binaries()) == set(EVERY)


@pytest.mark.parametrize("name", EVERY)
def test_every_binary_can_be_built_from_a_module_of_its_component(name: str) -> None:
    build = releases.builds()[releases.component_of(name)]
    assert any(build.packages[name].startswith(module) for module in build.modules)


@pytest.mark.parametrize("arch", releases.ARCHITECTURES)
@pytest.mark.parametrize("component", ["etcd", "containerd", "runc", "cni-plugins"])
def test_default_versions_have_published_checksums(component: str, arch: str) -> None:
    version = releases.default_versions(releases.default_kubernetes())[component]
    files = [file for file in releases.downloads() if file.component == component]
    assert files
    assert all((version, arch) in file.checksums for file in files)


def test_addresses_and_members_carry_version_and_architecture() -> None:
    (etcd,) = releases.downloads_of("etcdctl")
    assert etcd.url("3.6.14", "arm64") == "https://github.com/etcd-io/etcd/releases/download/v3.6.14/etcd-v3.6.14-linux-arm64.tar.gz"
    assert etcd.path("3.6.14", "arm64") == "etcd-io/etcd/releases/download/v3.6.14/etcd-v3.6.14-linux-arm64.tar.gz"
    assert etcd.member("etcdctl", "3.6.14", "arm64") == "etcd-v3.6.14-linux-arm64/etcdctl"
    assert etcd.sums_url("3.6.14", "arm64") == "https://github.com/etcd-io/etcd/releases/download/v3.6.14/SHA256SUMS"
    (runc,) = releases.downloads_of("runc")
    assert (runc.member("runc", "1.4.3", "amd64"), runc.is_archive, etcd.is_archive) == ("", False, True)


def test_a_server_binary_comes_from_the_server_archive_where_only_that_has_a_checksum() -> None:
    own, archive = releases.downloads_of("kube-apiserver")
    assert ("1.36.0", "amd64") not in own.checksums
    assert archive.checksums["1.36.0", "amd64"].algorithm == "sha512"
    assert archive.member("kube-apiserver", "1.36.0", "amd64") == "kubernetes/server/bin/kube-apiserver"


def test_kubernetes_is_stamped_with_its_version() -> None:
    build = releases.builds()["kubernetes"]
    assert "version.gitVersion=v1.36.3 " in build.ldflags("1.36.3")
    assert "version.gitMinor=36" in build.ldflags("1.36.3")
    assert build.replacement("client-go", "1.36.3") == "k8s.io/client-go v0.36.3"


def test_the_default_kubernetes_is_of_the_newest_supported_minor() -> None:
    assert releases.minor_of(releases.default_kubernetes()) == releases.minors()[-1]
    assert releases.minors() == ("1.34", "1.35", "1.36")
    assert releases.skew()["kubelet"] == releases.Skew(older=3, newer=0)


@pytest.mark.parametrize("image", releases.images().values(), ids=lambda image: image.name)
def test_every_image_has_a_digest_for_its_version_and_a_program(image: releases.ImageRow) -> None:
    Checksum.parse(image.registry[image.version].digest)
    assert bool(image.source) != bool(image.component)
    assert image.ref(image.version) == f"kbootstrap.local/{image.name}:{image.version}"
    assert image.user.partition(":")[0] != "0"


def test_coredns_has_one_version_as_component_and_as_image() -> None:
    assert releases.images()["coredns"].version == releases.default_versions("1.36.3")["coredns"]


@pytest.mark.parametrize("text", ["", "sha256:", "sha256:12", "md5:" + "0" * 32, "sha512:" + "0" * 64, "sha256:" + "g" * 64, "0" * 64])
def test_refuses_what_is_no_checksum(text: str) -> None:
    with pytest.raises(ArtifactError, match="is not a checksum"):
        Checksum.parse(text)


def test_an_unknown_binary_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no binary is called «kubeadm»") as caught:
        releases.component_of("kubeadm")
    assert "kubelet" in caught.value.hint


@pytest.mark.parametrize(("text", "valid"), [("1.36.3", True), ("1.37.0-rc.1", True), ("1.36", False), ("v1.36.3", False), ("1.2.3/../x", False)])
def test_tells_versions(text: str, valid: bool) -> None:
    assert releases.is_version(text) is valid
