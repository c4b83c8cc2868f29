"""A plan and its checks as an operator reads them: folded over hosts, aligned, with diffs, and never a secret."""

from __future__ import annotations

import json
from pathlib import Path

from kbootstrap.model.desired import Wanted
from kbootstrap.model.facts import Facts, Observed
from kbootstrap.model.plan import Action, Change, HostPlan, Plan, Stage
from kbootstrap.model.report import Result
from kbootstrap.model.resource import Binary, Blob, File
from kbootstrap.plan.compare import compare_stage
from kbootstrap.plan.ledger import Ledger
from kbootstrap.report import data, text
from kbootstrap.resources.stat import Stat


def change(host: str, key: str, action: Action = Action.CREATE, reason: str = "no such file", **more: str) -> Change:
    return Change(host=host, key=key, action=action, reason=reason, commands="secret commands", payload=b"secret payload", **more)  # type: ignore[arg-type]


def stage(name: str, *hosts: tuple[Change, ...]) -> Stage:
    return Stage(name=name, hosts=tuple(HostPlan(host=changes[0].host, changes=changes) for changes in hosts))


def test_an_empty_plan_says_so() -> None:
    assert list(text.plan(Plan(stages=()))) == ["Nothing to do: every host is as the inventory wants it."]
    silent = list(text.plan(Plan(stages=()), unread=["w1", "w2"]))
    assert silent == ["Nothing to do: every host that could be read is as the inventory wants it; nothing is known of w1, w2."]


def test_what_is_alike_on_several_hosts_is_one_line() -> None:
    plan = Plan(
        stages=(
            stage("HOSTS", (change("m1", "/etc/a"), change("m1", "/etc/longer", Action.UPDATE, "mode 0644, want 0600")), (change("m2", "/etc/a"),)),
            stage("ETCD", (change("m1", "service/etcd.service", Action.RUN, "new unit: enable and start"),)),
        )
    )
    assert list(text.plan(plan)) == [
        "HOSTS",
        "  + m1,m2  /etc/a       no such file",
        "  ~ m1     /etc/longer  mode 0644, want 0600",
        "ETCD",
        "  ! m1  service/etcd.service  new unit: enable and start",
        "4 changes on 2 hosts: 2 +, 1 ~, 1 !",
    ]


def test_other_reasons_are_other_lines() -> None:
    plan = Plan(stages=(stage("HOSTS", (change("m1", "/a", reason="x"),), (change("m2", "/a", reason="y"),)),))
    assert [line.split() for line in text.plan(plan)][1:3] == [["+", "m1", "/a", "x"], ["+", "m2", "/a", "y"]]


def test_one_change_on_one_host() -> None:
    assert text.summary(Plan(stages=(stage("HOSTS", (change("m1", "/a", Action.DELETE),)),))) == "1 change on 1 host: 1 -"


def test_a_changed_text_shows_its_difference() -> None:
    plan = Plan(stages=(stage("HOSTS", (change("m1", "/a", Action.UPDATE, "content differs", before="one\ntwo\n", after="one\n2\n"),)),))
    shown = [line.strip() for line in text.plan(plan)]
    assert shown[2:-1] == ["--- m1:/a (now)", "+++ m1:/a (wanted)", "@@ -1,2 +1,2 @@", "one", "-two", "+2"]
    assert len(list(text.plan(plan, diffs=False))) == 3


def test_a_new_text_and_one_liners_show_none() -> None:
    changes = (change("m1", "/a", after="much\ntext\n"), change("m1", "sysctl/x", Action.UPDATE, "0, want 1", before="0", after="1"))
    assert len(list(text.plan(Plan(stages=(stage("HOSTS", changes),))))) == 4


def test_no_secret_is_in_any_form() -> None:
    secret = File(name="/etc/x.key", content=b"correct horse", mode=0o600, secret=True)
    other = File(name="/etc/y.key", content=b"battery staple", mode=0o600, secret=True)
    tool = Binary(name="/bin/x", blob=Blob(sha256="a" * 64, size=1, path=Path("x")))
    seen = {"/etc/x.key": Stat(type="regular file", mode=0o600, owner="root:root", sha256="b" * 64)}
    observed = Observed(host="m1", facts=Facts(), kinds={"file": seen})
    changes = compare_stage("m1", Wanted(resources=(secret, other, tool)), observed, Ledger())
    plan = Plan(stages=(Stage(name="HOSTS", hosts=(HostPlan(host="m1", changes=changes),)),))
    shown = "\n".join(text.plan(plan)) + json.dumps(data.plan(plan)) + repr(plan) + repr([c.resource for c in changes])
    assert "sha256:" in shown
    assert "secret content differs" in shown
    for word in ("correct", "horse", "battery", "staple", "Y29ycmVj"):
        assert word not in shown


def test_json_has_every_change_in_order_and_neither_commands_nor_payload() -> None:
    plan = Plan(stages=(stage("HOSTS", (change("m1", "/a", before="x", after="y"),), (change("m2", "/a"),)),))
    assert data.plan(plan) == {
        "changes": [
            {"id": "m1:/a", "stage": "HOSTS", "action": "+", "reason": "no such file", "before": "x", "after": "y"},
            {"id": "m2:/a", "stage": "HOSTS", "action": "+", "reason": "no such file", "before": None, "after": None},
        ]
    }
    assert "secret" not in json.dumps(data.plan(plan))


GOOD = Result(check="etcd", where="m1", ok=True, detail="leader", hint="")
BAD = Result(check="etcd", where="m2", ok=False, detail="no answer", hint="journalctl -u etcd")


def test_checks_that_hold_are_one_line_and_others_come_with_the_next_command() -> None:
    assert list(text.results([GOOD])) == ["  ok  etcd  1  leader"]
    assert list(text.results([GOOD, GOOD])) == ["  ok  etcd  2"]
    assert list(text.results([GOOD, BAD])) == ["  !!  etcd  m2: no answer  → journalctl -u etcd"]
    assert list(text.results([GOOD, BAD], every=True)) == ["  ok  etcd  m1: leader", "  !!  etcd  m2: no answer  → journalctl -u etcd"]
    assert list(text.results([])) == []


def test_checks_as_data() -> None:
    assert data.results([BAD]) == [{"check": "etcd", "where": "m2", "ok": False, "detail": "no answer", "hint": "journalctl -u etcd"}]
