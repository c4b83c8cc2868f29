"""Who is asked for the keys of secrets, what is refused before a rotation begins, and that nothing is dropped which a value still needs."""

from __future__ import annotations

from typing import cast

import pytest

from kbootstrap.engine import secrets_rotate
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.request import Request
from kbootstrap.engine.secrets_rotate import Outcome, Shown, steps
from kbootstrap.engine.staged import Staged
from kbootstrap.errors import CommandError, PreflightError, VerifyError
from kbootstrap.model.plan import Plan
from kbootstrap.pki.sealing import Phase
from kbootstrap.plan.sealing import Scan
from kbootstrap.remote.pool import Pool
from kbootstrap.testing.builders import a_cluster, a_pki
from kbootstrap.testing.fake_host import Answer, FakeHost, when

SPEC = a_cluster(3, 0)
PKI = a_pki()
SAID = b"/registry/secrets/default/a\n k8s:enc:secretbox:v1:key1\nended 0\n"


class _Known:
    spec = SPEC


KNOWN = cast(Prepared, _Known())


def a_pool(*answers: Answer) -> Pool:
    said = dict(zip((host.name for host in SPEC.masters), answers, strict=False))
    return Pool(SPEC.hosts, lambda host: FakeHost(host=host.name, scripts=[when("--limit=", said.get(host.name, Answer(exit_code=1)))]))


def test_the_first_member_that_answers_tells() -> None:
    down = Answer(exit_code=1, stderr="context deadline exceeded")
    assert secrets_rotate.scan(KNOWN, a_pool(down, Answer(stdout=SAID))).by == {"default/a": "key1"}


def test_where_no_member_answers_nothing_is_taken_for_empty() -> None:
    with pytest.raises(CommandError, match="cannot be read") as refused:
        secrets_rotate.scan(KNOWN, a_pool(Answer(exit_code=1, stderr="no leader")))
    assert "no leader" in str(refused.value)
    assert refused.value.hint == "invoke etcd.status"


def test_a_secret_that_nobody_opens_stops_a_rotation_before_it_begins() -> None:
    with pytest.raises(PreflightError, match="a key that is not here: 1 secret; nothing was changed") as refused:
        secrets_rotate._refuse_strange(PKI, Scan(by={"default/a": "key1", "default/b": "key-theirs"}))
    assert [problem.where for problem in refused.value.problems] == ["default/b (key-theirs)"]


def test_the_old_key_is_not_dropped_while_a_value_has_it() -> None:
    dropped = steps(PKI)[-1].pki
    rotating = secrets_rotate._Rotating(
        staged=Staged(
            request=cast(Request, None),
            command="",
            known=KNOWN,
            pki=PKI,
            prepared=KNOWN,
            pool=a_pool(Answer(stdout=SAID)),
            plan=Plan(stages=()),
            observed={},
        )
    )
    with pytest.raises(VerifyError, match="default/a"):
        rotating._refuse_left(dropped)


def test_another_rotation_begins_unless_a_host_lacks_the_end_of_the_last() -> None:
    """A leaked key is not kept because some file differs for another reason."""
    ended = steps(PKI)[-1].pki
    assert [step.title for step in steps(ended)] == ["READ", "WRITE", "REWRITE", "DROP"]
    (rest,) = steps(ended, unfinished=["m2"])
    assert (rest.title, rest.pki) == ("DROP", ended)
    assert "m2; no new key is made" in rest.meaning
    assert Outcome(steps=(rest,)).of_the_last
    assert not Outcome(steps=steps(ended)).of_the_last


@pytest.mark.parametrize(
    ("phase", "counts", "ok"),
    [(Phase.IDLE, {"key1": 3}, True), (Phase.IDLE, {}, True), (Phase.WRITE, {"key1": 3}, False), (Phase.IDLE, {"key1": 3, "key2": 1}, False)],
)
def test_it_is_well_when_one_key_has_sealed_all_and_nothing_is_under_way(phase: Phase, counts: dict[str, int], ok: bool) -> None:
    assert Shown(writer="key1", phase=phase, counts=counts).ok is ok
