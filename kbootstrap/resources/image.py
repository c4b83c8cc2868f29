"""Kind ``image``: a container image in containerd's k8s.io namespace, imported from a bundle (hosts need no registry).

What was imported is also noted beside containerd's data, and believed while containerd does not answer: a stopped daemon has not lost its images.
"""

from __future__ import annotations

from collections.abc import Sequence

from kbootstrap.catalog import paths
from kbootstrap.model.plan import Action
from kbootstrap.model.resource import ContainerImage
from kbootstrap.resources.difference import Difference, Order, lines, sh

CTR = f"{paths.BIN}/ctr -n k8s.io"
NOTE = f"{paths.CONTAINERD_DATA}/.kbootstrap-images"
_PROBE = f"""\
if [ -S {paths.CONTAINERD_SOCKET} ] && [ -x {paths.BIN}/ctr ] && found=$({CTR} --connect-timeout 3s images ls -q 2>/dev/null); then echo "$found"
elif [ -r {NOTE} ]; then cat {NOTE}; fi
"""


def probe(names: Sequence[str]) -> str:
    del names  # one question answers for all
    return _PROBE


def parse(output: str) -> dict[str, bool]:
    return {line.strip(): True for line in output.splitlines() if line.strip()}


def diff(want: ContainerImage, seen: bool | None) -> Difference | None:
    if seen:
        return None
    return Difference(action=Action.CREATE, reason=f"not imported, want {want.blob.sha256[:12]} ({want.blob.size / 1e6:.0f} MB)")


def commands(want: ContainerImage, difference: Difference) -> Order:
    """A blob that cannot be imported is thrown away: a power cut may have damaged it since it was verified."""
    del difference
    blob = sh(f"{paths.BLOBS}/{want.blob.sha256}")
    answers = f"[ -S {paths.CONTAINERD_SOCKET} ] && {CTR} --connect-timeout 1s version >/dev/null 2>&1"
    wait = f"for i in $(seq 150); do if {answers}; then break; fi; sleep 0.2; done"
    load = f"{CTR} images import --local {blob} >/dev/null || {{ rm -f -- {blob}; exit 1; }}"
    return Order(text=lines(wait, load, f"echo {sh(want.name)} >> {NOTE}", f"rm -f -- {blob}"), blob=want.blob, deadline_s=180)
