"""``--limit``: the hosts it names, and a cluster whose masters were left out."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from kbootstrap.engine import api
from kbootstrap.engine.contact import chosen
from kbootstrap.engine.prepared import Prepared
from kbootstrap.errors import UsageError
from kbootstrap.model.desired import Desired
from kbootstrap.remote.pool import Pool
from kbootstrap.testing.builders import a_cluster
from kbootstrap.testing.fake_host import Answer, FakeHost, when

READY = {"kind": "Node", "metadata": {"name": "w1"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}


def test_the_hosts_that_are_named_in_the_order_of_the_inventory() -> None:
    spec = a_cluster(1, 2)
    assert [host.name for host in chosen(spec, ("w2", "m1"))] == ["m1", "w2"]
    assert chosen(spec, ()) == spec.hosts


def test_a_name_of_no_host_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--limit: no host is called w9") as refused:
        chosen(a_cluster(1, 1), ("w1", "w9"))
    assert (refused.value.exit_code, refused.value.hint) == (2, "There are m1, w1.")


def test_masters_that_were_left_out_are_asked_for_the_nodes() -> None:
    class Known:
        spec = a_cluster(1, 1)
        desired = Desired(hosts={})

    answer = Answer(stdout=json.dumps({"kind": "List", "items": [READY]}).encode())
    pool = Pool(Known.spec.hosts, lambda host: FakeHost(host=host.name, scripts=[when("kubectl", answer)]))
    results: list[Any] = api.wait_ready(cast(Prepared, Known()), pool, None, ["w1"], patient=False)
    assert [(result.check, result.where, result.ok) for result in results] == [("node", "w1", True)]
