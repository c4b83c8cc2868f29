"""``report.html`` and ``ports.matrix --html`` as the user runs them, where no host is asked or none answers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from kbootstrap import inventory
from kbootstrap.errors import PreflightError, UsageError
from kbootstrap.pki import issue
from kbootstrap.pki.profiles import profiles
from kbootstrap.store import pki_dir
from kbootstrap.tasks import ports, report
from kbootstrap.testing.builders import THE_DAY, SameEntropy, a_pki

FOLDER = Path("inventory/lab")
CLUSTER = """\
cluster: lab
kubernetes: "1.36.3"
hosts:
  masters:  # on the SSH ports nothing listens
    m1: {address: 10.0.0.11, ssh: {user: root, host: 127.0.0.1, port: 2}}
    m2: {address: 10.0.0.12, ssh: {user: root, host: 127.0.0.1, port: 3}}
    m3: {address: 10.0.0.13, ssh: {user: root, host: 127.0.0.1, port: 4}}
  workers:
    w1: {address: 10.0.0.21, ssh: {user: root, host: 127.0.0.1, port: 5}}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with one inventory of three masters and a worker."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KB_CLUSTER", raising=False)
    FOLDER.mkdir(parents=True)
    (FOLDER / "cluster.yml").write_text(CLUSTER)
    return tmp_path


def test_without_any_host_there_is_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    report.html(Context(), offline=True)
    assert capsys.readouterr().out == "not asked: drawn from the inventory alone\ninventory/lab/report.html\n"
    text = (FOLDER / "report.html").read_text()
    assert "10.0.0.13" in text
    assert "10.244.3.0/24" in text


def test_it_goes_where_it_is_sent(capsys: pytest.CaptureFixture[str]) -> None:
    report.html(Context(), offline=True, to="here.html")
    capsys.readouterr()
    report.html(Context(), offline=True, to="-")
    printed = capsys.readouterr().out
    assert printed.startswith("<!doctype html>")
    assert Path("here.html").read_text().startswith("<!doctype html>")
    assert not (FOLDER / "report.html").exists()


def test_json_alone_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    report.html(Context(), offline=True, json=True)
    found = json.loads(capsys.readouterr().out)
    assert [place["name"] for place in found["places"]] == ["m1", "m2", "m3", "w1"]
    assert found["verdict"]["state"] == "unknown"
    assert sorted(path.name for path in FOLDER.iterdir()) == ["cluster.yml"]


def test_certificates_come_from_the_pki_directory(capsys: pytest.CaptureFixture[str]) -> None:
    spec = inventory.load(FOLDER / "cluster.yml")
    pki, issued = issue.complete(a_pki(), profiles(spec), now=THE_DAY, certificates=spec.certificates, entropy=SameEntropy("more"))
    pki_dir.save(FOLDER / "pki", pki, issued)
    report.html(Context(), offline=True, json=True)
    found = json.loads(capsys.readouterr().out)
    assert {"ca", "etcd-ca", "admin", "m1/apiserver", "w1/kubelet-client"} <= {each["id"] for each in found["certificates"]}


def test_a_damaged_pki_is_told_and_all_else_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    (FOLDER / "pki" / "ca").mkdir(parents=True, mode=0o700)
    (FOLDER / "pki").chmod(0o700)
    path = FOLDER / "pki" / "ca" / "ca.crt"
    path.touch(mode=0o600)
    report.html(Context(), offline=True, json=True)
    found = json.loads(capsys.readouterr().out)
    assert "is empty" in found["pki_error"]
    assert [issue["section"] for issue in found["issues"]] == ["certificates"]


def test_hosts_that_do_not_answer_are_drawn_so(capsys: pytest.CaptureFixture[str]) -> None:
    """No host key is known and nothing listens: every host fails at once, none ends the report."""
    report.html(Context(), to="silent.html")
    assert capsys.readouterr().out.startswith("no host answers: drawn from the inventory alone\n")
    text = Path("silent.html").read_text()
    assert text.count("no answer</text>") == 4


def test_a_page_that_cannot_be_written_is_an_error_with_its_path() -> None:
    with pytest.raises(Exit) as caught:
        report.html(Context(), offline=True, to="nowhere/page.html")
    assert caught.value.code == UsageError.exit_code


def test_the_matrix_is_a_page_too(capsys: pytest.CaptureFixture[str]) -> None:
    ports.matrix(Context(), html="matrix.html")
    assert capsys.readouterr().out == "matrix.html\n"
    text = Path("matrix.html").read_text()
    assert "Kubernetes API" in text
    assert "<svg" not in text


def test_what_was_proven_is_a_page_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exit) as caught:
        ports.check(Context(), html="proven.html", limit="w1")
    assert caught.value.code == PreflightError.exit_code
    assert capsys.readouterr().out.splitlines()[-1] == "proven.html"
    text = Path("proven.html").read_text()
    assert "Asked was only what comes from or goes to w1." in text
    assert "Not proven, and why" in text
    assert not re.search(r"""<(script|img|iframe)|(src|href)="[^#d]|url\(|@import""", text), "complete in itself"
