"""Who still has what a finished change ended: told by exactly that, and by no other difference."""

from __future__ import annotations

from hashlib import sha256

import pytest

from kbootstrap.model.desired import Desired, Wanted
from kbootstrap.model.facts import Facts, Observed
from kbootstrap.model.resource import File
from kbootstrap.plan.outdated import outdated
from kbootstrap.resources.service import Seen
from kbootstrap.resources.stat import Stat

KEYS, OTHER = "/etc/kubernetes/encryption.yaml", "/etc/kubernetes/other"


def a_desired(keys: bytes) -> Desired:
    files = (File(name=KEYS, content=keys, secret=True), File(name=OTHER, content=b"same"))
    return Desired(hosts={"m1": {"PKI": Wanted(resources=files)}})


def lies(path: str, content: bytes, mode: int = 0o600) -> dict[str, Stat]:
    return {path: Stat(type="regular file", mode=mode, owner="root:root", sha256=sha256(content).hexdigest())}


def runs(path: str, content: bytes, state: str = "active") -> dict[str, Seen]:
    return {"kube-apiserver.service": Seen(state={"ActiveState": state}, started={path: sha256(content).hexdigest()}, now={})}


@pytest.mark.parametrize(
    ("file", "service", "found"),
    [
        pytest.param(lies(KEYS, b"both"), {}, ("m1",), id="it-lies-there"),
        pytest.param(lies(KEYS, b"new"), runs(KEYS, b"both"), ("m1",), id="a-unit-was-started-with-it"),
        pytest.param(lies(KEYS, b"new"), runs(KEYS, b"both", "failed"), (), id="a-unit-that-does-not-run"),
        pytest.param(lies(KEYS, b"new", 0o644), runs(KEYS, b"new"), (), id="another-mode"),
        pytest.param(lies(KEYS, b"by hand"), runs(KEYS, b"by hand"), (), id="another-content"),
        pytest.param({}, {}, (), id="no-file"),
        pytest.param({**lies(KEYS, b"new"), **lies(OTHER, b"same")}, runs(OTHER, b"same"), (), id="what-did-not-change"),
    ],
)
def test_a_host_is_behind_by_just_what_the_change_ended(file: dict[str, Stat], service: dict[str, Seen], found: tuple[str, ...]) -> None:
    observed = {"m1": Observed(host="m1", facts=Facts(), kinds={"file": file, "service": service})}
    assert outdated(a_desired(b"both"), a_desired(b"new"), observed) == found
