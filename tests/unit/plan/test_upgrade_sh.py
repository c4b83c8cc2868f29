"""What hosts say before an upgrade, read: flags that are refused or deprecated, APIs that will go; and what is shown of the whole way."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from kbootstrap.catalog import paths
from kbootstrap.model.desired import Desired, Wanted
from kbootstrap.model.plan import Action, Change, HostPlan
from kbootstrap.model.resource import Binary, Blob, File
from kbootstrap.plan import upgrade_sh
from kbootstrap.plan.upgrade import Turn
from kbootstrap.report.upgrade import Rollout, Row, Step

SAID = """\
0 kubelet Flag --max-pods has been deprecated, This parameter should be set via the config file specified by the Kubelet's --config flag.
1 kube-apiserver Error: unknown flag: --no-such-flag
1 kube-scheduler Error: invalid argument "x" for "--v" flag: strconv.ParseInt: parsing "x": invalid syntax
126 kube-proxy sh: 1: /var/lib/kbootstrap/blobs/ab: Permission denied
"""
METRICS = """\
apiserver_requested_deprecated_apis{group="",removed_release="",resource="endpoints",subresource="",version="v1"} 1
apiserver_requested_deprecated_apis{group="flows.k8s.io",removed_release="1.32",resource="flowschemas",subresource="",version="v1beta3"} 1
apiserver_requested_deprecated_apis{group="x.k8s.io",removed_release="1.40",resource="things",subresource="status",version="v1beta1"} 1
apiserver_requested_deprecated_apis{group="x.k8s.io",removed_release="1.40",resource="things",subresource="",version="v1beta1"} 1
"""


def test_flags_are_refused_deprecated_or_not_tried() -> None:
    refused, told = upgrade_sh.flags_told("m1", SAID, "1.36.1")
    assert [problem.what for problem in refused] == [
        "kube-apiserver of 1.36.1 does not know the flag --no-such-flag",
        'kube-scheduler of 1.36.1 refuses its flags: Error: invalid argument "x" for "--v" flag: strconv.ParseInt: parsing "x": invalid syntax',
    ]
    assert told[0].startswith("kubelet --max-pods is deprecated in 1.36.1: This parameter should be set via the config file")
    assert told[1].startswith("kube-proxy: its flags could not be tried before")


def test_apis_that_go_are_told_those_that_are_gone_first() -> None:
    assert upgrade_sh.apis_told(METRICS, 36) == [
        "flowschemas.v1beta3.flows.k8s.io was asked for, and is gone since 1.32: who asks for it fails after the upgrade",
        "things.v1beta1.x.k8s.io was asked for, and goes with 1.40",
    ]


def a_turn(*files: Path) -> Turn:
    changes = [Change(host="m1", key=str(f), action=Action.UPDATE, reason="", commands="", resource=File(name=str(f), content=b"")) for f in files]
    return Turn(host="m1", parts=(HostPlan(host="m1", changes=tuple(changes)),))


def run(text: str) -> None:
    done = subprocess.run(["sh", "-ec", text], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_kept_is_what_was_there_before_the_first_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second run, behind one that was killed, finds new files; it keeps the old ones, and only those."""
    monkeypatch.setattr(paths, "STATE", str(tmp_path))
    monkeypatch.setattr(paths, "PREVIOUS", str(tmp_path / "previous"))
    program, made = tmp_path / "bin" / "a program", tmp_path / "made"
    program.parent.mkdir()
    program.write_text("old")
    program.chmod(0o755)
    run(upgrade_sh.keep("API SERVERS", a_turn(program, made)))
    new = tmp_path / "new"
    new.write_text("new")
    new.replace(program)
    made.write_text("new")
    run(upgrade_sh.keep("API SERVERS", a_turn(program, made)))
    kept = Path(upgrade_sh.place("API SERVERS"))
    assert (kept / str(program)[1:]).read_text() == "old"
    assert (kept / str(program)[1:]).stat().st_mode & 0o777 == 0o755
    assert not (kept / str(made)[1:]).exists()
    run(upgrade_sh.put_back("API SERVERS", a_turn(program, made)).replace("systemctl daemon-reload\n", "").replace(paths.HASHES, str(tmp_path / "h")))
    assert (program.read_text(), program.stat().st_mode & 0o777) == ("old", 0o755)
    assert not made.exists()
    assert not kept.exists()


def test_a_later_turn_is_put_back_to_what_ran_before_it_and_a_rollback_sends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn that ended well is nothing that a later one, of the same wave, goes back to; its programs are offered until another change begins."""
    monkeypatch.setattr(paths, "STATE", str(tmp_path))
    monkeypatch.setattr(paths, "PREVIOUS", str(tmp_path / "previous"))
    monkeypatch.setattr(paths, "BLOBS", str(tmp_path / "blobs"))
    program, blobs = tmp_path / "program", tmp_path / "blobs"
    for content in ("old" * 600_000, "new", "newer"):
        new = tmp_path / "new"
        new.write_text(content)
        if program.exists():
            run(upgrade_sh.keep("API SERVERS", a_turn(program)))
            new.replace(program)
            if content == "new":
                run(upgrade_sh.finished("API SERVERS"))
                run(upgrade_sh.offer([hashlib.sha256(b"old" * 600_000).hexdigest(), "0" * 64]))
        else:
            new.replace(program)
    assert Path(upgrade_sh.place("API SERVERS") + str(program)).read_text() == "new"
    assert [each.read_text()[:6] for each in blobs.iterdir()] == ["oldold"]
    run(upgrade_sh.finished("API SERVERS"))
    run(upgrade_sh.finished("API SERVERS"))
    assert not Path(upgrade_sh.place("API SERVERS")).exists()
    run(upgrade_sh.begin())
    run(upgrade_sh.offer([]))
    assert not (tmp_path / "previous").exists()


def test_a_program_that_is_installed_is_tried_and_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Units record the ctime of what they were started from: another one would restart them."""
    monkeypatch.setattr(paths, "BLOBS", str(tmp_path / "blobs"))
    program = tmp_path / "kubelet"
    program.write_text('#!/bin/sh\necho "Flag $1 has been deprecated, x" >&2\n')
    program.chmod(0o755)
    before = program.stat().st_ctime_ns
    binary = Binary(name=str(program), blob=Blob(sha256="a" * 64, size=1, path=program))
    desired = Desired(hosts={"m1": {"WORKERS": Wanted(resources=(binary,))}})
    text = upgrade_sh.try_flags(desired, "m1", {"kubelet": ["--a=b"]})
    said = subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=True).stdout
    assert upgrade_sh.flags_told("m1", said, "1.36.1") == ([], ["kubelet --a=b is deprecated in 1.36.1: x"])
    assert program.stat().st_ctime_ns == before


def test_the_way_is_shown_in_its_order() -> None:
    rows = (Row(host="m1", moves=("kubelet 1.35.4 → 1.36.1", "2 other changes"), drained=True), Row(host="w1", moves=("1 other change",)))
    shown = Rollout(
        origin="1.35.4", target="1.36.1", steps=(Step(name="NODES", reason="one by one", rows=rows),), stays=("etcd 3.6.14",), warnings=("x",)
    )
    assert list(shown.lines()) == [
        "Kubernetes 1.35.4 → 1.36.1; etcd 3.6.14 stays",
        " 1  NODES: one by one",
        "      m1  drained; kubelet 1.35.4 → 1.36.1, 2 other changes",
        "      w1  1 other change",
        " !  x",
    ]
    same = replace(shown, origin="1.36.1")
    assert list(same.lines())[:2] == [
        "The API servers run Kubernetes 1.36.1 already. What else differs, host by host (invoke cluster.up does it without draining):",
        " 1  NODES: one by one",
    ]
    assert list(replace(same, steps=(), warnings=()).lines()) == ["The API servers run Kubernetes 1.36.1 already."]
