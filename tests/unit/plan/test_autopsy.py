"""What is said of a failure: hosts and units it is about, causes by name, and one text without a secret."""

from __future__ import annotations

from kbootstrap.errors import ApplyError, Problem, VerifyError
from kbootstrap.model.report import Cause
from kbootstrap.model.status import HostState, Status, Trouble, Unit
from kbootstrap.plan import autopsy, words
from kbootstrap.plan.autopsy import Seen

UNITS = ["etcd.service", "kube-apiserver.service", "kubelet.service"]


def status(*units: Unit, troubles: tuple[Trouble, ...] = ()) -> Status:
    hosts = tuple(HostState(name=name, roles=("master",), units=tuple(u for u in units if u.host == name)) for name in ("m1", "w1"))
    return Status(cluster="lab", kubernetes="1.36.3", hosts=hosts, members=(), apis=(), nodes=(), troubles=troubles)


def unit(host: str, name: str, state: str = "active running", cause: Cause | None = None) -> Unit:
    return Unit(host=host, name=f"{name}.service", state=state, cause=cause)


def said(found: tuple[Problem, ...]) -> list[str]:
    return [str(each) for each in found]


def test_the_hosts_that_an_error_is_about_are_found_however_it_names_them() -> None:
    one = ApplyError("gate/etcd failed", host="m1")
    many = ApplyError("2 hosts failed", problems=[Problem(where="m1", what="x"), Problem(where="w1:/etc/x", what="y")])
    checks = VerifyError("1 of 9 checks failed", problems=[Problem(where="served-certificate m1 10.0.0.1:6443", what="z")])
    assert autopsy.concerned(one, ["m1", "m10", "w1"]).keys() == {"m1"}
    assert autopsy.concerned(many, ["m1", "m10", "w1"]).keys() == {"m1", "w1"}
    assert autopsy.concerned(checks, ["m1", "m10"]).keys() == {"m1"}
    assert autopsy.concerned(VerifyError("no API server answers"), ["m1"]) == {}
    told = VerifyError("1 of 9 checks failed")
    told.about = checks.problems
    assert autopsy.concerned(told, ["m1"]).keys() == {"m1"}


def test_units_are_known_by_their_name_and_by_the_command_that_shows_their_journal() -> None:
    assert autopsy.mentioned("etcd.service activating; journalctl -u kubelet -n 50", UNITS) == ["etcd.service", "kubelet.service"]
    assert autopsy.mentioned("it failed", UNITS) == []


def test_a_cause_is_told_with_its_line_and_what_only_follows_from_it_is_not() -> None:
    flag = Cause(id="flag", what="it does not know the flag --x", hint="invoke cluster.up", line="Error: unknown flag: --x")
    bound = Cause(id="bound", what="it stops and starts with etcd.service", hint="")
    refused = Cause(id="refused", what="nothing listens", hint="", symptom=True)
    found = status(
        unit("m1", "etcd", "activating auto-restart", flag),
        unit("m1", "kube-apiserver", "inactive dead", bound),
        unit("m1", "kubelet", "activating start", refused),
        unit("w1", "kubelet", "failed exit-code", flag),
    )
    assert said(autopsy.explain(Seen(status=found, answers={}, said={}), {"m1": "gate failed"})) == [
        "m1  etcd.service (activating auto-restart): it does not know the flag --x. It said: Error: unknown flag: --x. → invoke cluster.up"
    ]


def test_who_holds_a_port_is_told_by_the_host_itself() -> None:
    taken = Cause(id="port-taken", what="its port 10250 is taken", hint="ss", line="bind: address already in use")
    holder = Trouble(id="port", where="w1", what="tcp 10250 (kubelet API) is held by pid 7 (socat)", hint="Run there: kill 7.")
    found = status(unit("w1", "kubelet", "failed exit-code", taken), troubles=(holder,))
    assert said(autopsy.explain(Seen(status=found, answers={}, said={}), {"w1": ""})) == [
        "w1  kubelet.service (failed exit-code): tcp 10250 (kubelet API) is held by pid 7 (socat). → Run there: kill 7."
    ]


def test_a_unit_that_is_active_and_not_well_is_explained_by_its_words() -> None:
    lines = ["2026-11-21T20:00:00+00:00 m1 etcd[7]: dial tcp 10.0.0.2:2380: i/o timeout"]
    seen = Seen(status=status(unit("m1", "etcd")), answers={}, said={"m1": {"etcd.service": lines}})
    assert "10.0.0.2 port 2380 cannot be reached" in said(autopsy.explain(seen, {"m1": "journalctl -u etcd"}))[0]


def test_without_a_name_the_gravest_lines_are_told_and_a_hosts_troubles_come_first() -> None:
    lines = ["2026-11-21T20:00:00+00:00 m1 etcd[7]: something odd, error 17"]
    odd = unit("m1", "etcd", "failed exit-code")
    seen = Seen(status=status(odd), answers={}, said={"m1": {"etcd.service": lines}})
    assert "cause not known; it said last:\nsomething odd, error 17" in said(autopsy.explain(seen, {"m1": ""}))[0]
    full = Trouble(id="disk", where="m1", what="/var is 100 % full", hint="du")
    seen = Seen(status=status(odd, troubles=(full,)), answers={}, said={})
    assert said(autopsy.explain(seen, {"m1": ""})) == ["m1  /var is 100 % full. du"]


def test_the_text_has_everything_but_secrets() -> None:
    lines = ("2026-11-21T20:00:00+00:00 m1 etcd[7]: token=abcdef.0123456789abcdef", "2026-11-21T20:00:01+00:00 m1 etcd[7]: password: hunter2")
    seen = Seen(status=status(unit("m1", "etcd")), answers={"m1": {"machine": "disk 7%"}}, said={"m1": {"etcd.service": lines}})
    text = autopsy.text(["cluster.up failed"], "error: x", (), seen)
    assert "disk 7%" in text
    assert "=== m1: last 2 lines of etcd.service" in text
    assert "hunter2" not in text
    assert "0123456789abcdef" not in text


def test_last_words_are_cut_apart_by_unit() -> None:
    output = "unit etcd.service\none\nunit is no name here\n\nunit kubelet.service\n"
    assert words.parse(output) == {"etcd.service": ("one", "unit is no name here"), "kubelet.service": ()}
