"""kubeadm itself, built as the product builds Kubernetes: from its Go module, once, into the benchmark's cache."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench import peers
from kbootstrap.catalog.releases import builds
from kbootstrap.model.events import silent
from kbootstrap.store.artifacts import gomod, gotool

PACKAGE = "k8s.io/kubernetes/cmd/kubeadm"


def kubeadm(version: str, arch: str) -> Path:
    """The program; a minute on two cores where Kubernetes was built before, nothing when it is there."""
    place = peers.folder().parent / "bench-kubeadm" / f"kubeadm-{version}-{arch}"
    if not place.exists():
        build = replace(builds()["kubernetes"], packages={"kubeadm": PACKAGE})
        module = peers.folder().parent / "bench-kubeadm" / f"kubeadm-{version}-module"
        gomod.prepare(build, version, module, silent)
        env = gotool.environment(arch, cgo=False)
        new = place.with_suffix(".new")
        flags = ["-trimpath", "-buildvcs=false", "-ldflags", build.ldflags(version)]
        gotool.run(["build", *flags, "-o", str(new), PACKAGE], folder=module, env=env, what=f"go build kubeadm {version}")
        new.rename(place)
    return place
