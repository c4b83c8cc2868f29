"""Kind ``image``: a container image in containerd's k8s.io namespace, imported from a bundle (hosts need no registry)."""

from __future__ import annotations

from collections.abc import Sequence

from kbootstrap.catalog import paths
from kbootstrap.model.plan import Action
from kbootstrap.model.resource import ContainerImage
from kbootstrap.resources.difference import Difference, Order, lines, sh

CTR = f"{paths.BIN}/ctr -n k8s.io"


def probe(names: Sequence[str]) -> str:
    """containerd may not run or not be there yet; then no image is."""
    del names
    return f"[ ! -S {paths.CONTAINERD_SOCKET} ] || [ ! -x {paths.BIN}/ctr ] || {CTR} --connect-timeout 3s images ls -q 2>/dev/null || true\n"


def parse(output: str) -> dict[str, bool]:
    return {line.strip(): True for line in output.splitlines() if line.strip()}


def diff(want: ContainerImage, seen: bool | None) -> Difference | None:
    if seen:
        return None
    return Difference(action=Action.CREATE, reason=f"not imported, want {want.blob.sha256[:12]} ({want.blob.size / 1e6:.0f} MB)")


def commands(want: ContainerImage, difference: Difference) -> Order:
    del difference
    blob = sh(f"{paths.BLOBS}/{want.blob.sha256}")
    wait = f"for i in $(seq 150); do [ ! -S {paths.CONTAINERD_SOCKET} ] || ! {CTR} --connect-timeout 1s version >/dev/null 2>&1 || break; sleep 0.2; done"
    return Order(text=lines(wait, f"{CTR} images import --local {blob} >/dev/null", f"rm -f -- {blob}"), blob=want.blob, deadline_s=180)
