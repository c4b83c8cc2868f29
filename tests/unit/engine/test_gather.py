"""What a diff may show: never what a secret's place leads to."""

from __future__ import annotations

import pytest

from kbootstrap.engine import gather
from kbootstrap.model.plan import HostPlan, Plan, Stage
from kbootstrap.model.resource import File
from kbootstrap.plan.compare import _change
from kbootstrap.plan.ledger import Ledger
from kbootstrap.remote.pool import Pool
from kbootstrap.resources import file as kind
from kbootstrap.resources.stat import Stat
from kbootstrap.testing.builders import a_cluster
from kbootstrap.testing.fake_host import FakeHost, reading


@pytest.mark.parametrize("secret", [True, False])
@pytest.mark.parametrize("type_", ["regular file", "symbolic link"])
def test_secrets_are_never_read_for_a_diff(type_: str, secret: bool) -> None:
    want = File(name="/etc/kubernetes/pki/sa.key", content=b"wanted\n", secret=secret)
    difference = kind.diff(want, Stat(type=type_, mode=0o600, owner="root:root", sha256="0" * 64))
    assert difference is not None
    plan = Plan(stages=(Stage(name="HOSTS", hosts=(HostPlan(host="m1", changes=(_change("m1", want, difference, Ledger(), False),)),)),))
    host = FakeHost(scripts=[reading({want.name: (0, b"what lies there\n")})])
    spec = a_cluster(1, 0)
    (shown,) = gather.with_contents(plan, spec, Pool(spec.hosts, lambda _: host)).changes()
    assert ("what lies there" in (shown.before or "")) is not secret
    assert ("wanted" in (shown.after or "")) is not secret
    assert bool(host.programs) is not secret
