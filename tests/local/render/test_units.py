"""Units as systemd reads them: no warning about any line, and the lines that run sh do what they say."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from kbootstrap.render.context import Inputs
from kbootstrap.testing.builders import a_cluster
from kbootstrap.testing.rendered import Rendered, program

SPEC = a_cluster()
TEMPLATES = Path(__file__).parents[3] / "templates"
M1 = Rendered(root=TEMPLATES, spec=SPEC, host=SPEC.host("m1"))
TARGETS = ("sysinit", "basic", "shutdown", "network", "network-online", "multi-user")

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")


def _verify(root: Path, units: dict[str, str]) -> str:
    """What systemd-analyze has to say about *units* in a tree that holds nothing else but their programs."""
    folder = root / "etc/systemd/system"
    folder.mkdir(parents=True)
    for target in TARGETS:
        (folder / f"{target}.target").write_text("[Unit]\nDescription=a target\n")
    for name, text in units.items():
        (folder / name).write_text(text)
        for line in text.splitlines():
            if line.startswith(("ExecStart=", "ExecStartPre=")):
                path = root / line.partition("=")[2].lstrip("+").split()[0].removeprefix("/")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("#!/bin/sh\n")
                path.chmod(0o755)
    argv = ["systemd-analyze", f"--root={root}", "--man=no", "verify", *(str(folder / name) for name in units)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


def _units(endpoint: str) -> dict[str, str]:
    ours = (str(path.relative_to(TEMPLATES)) for path in sorted(TEMPLATES.rglob("*.service.j2")))
    wanted = [name for name in ours if name.startswith(endpoint) or not name.startswith(("endpoint-", "operator/"))]
    names = [Path(name).name.removesuffix(".j2") for name in wanted]
    return {
        name: M1.text(template, Inputs(unit=name, files=("/etc/a", "/etc/b"), binaries=("/usr/local/bin/x",)))
        for name, template in zip(names, wanted, strict=True)
    }


@needs_systemd
@pytest.mark.parametrize("endpoint", ["endpoint-haproxy", "endpoint-gateway"])
def test_systemd_has_nothing_to_say(tmp_path: Path, endpoint: str) -> None:
    units = _units(endpoint)
    assert len(units) == 11
    assert _verify(tmp_path, units) == ""


@needs_systemd
def test_systemd_would_have_said_something(tmp_path: Path) -> None:
    text = _units("endpoint-haproxy")["etcd.service"].replace("Restart=always", "Restart=allways")
    assert "allways" in _verify(tmp_path, {"etcd.service": text})


def test_no_continued_line_looks_like_a_comment() -> None:
    for name, text in _units("endpoint-haproxy").items():
        before = ""
        for line in text.splitlines():
            assert not (before.endswith("\\") and line.lstrip().startswith((";", "#"))), f"{name}: {line}"
            before = line


def _record(tmp_path: Path, binary: Path, files: tuple[str, ...]) -> str:
    inputs = Inputs(unit="demo.service", files=files, binaries=(str(binary),))
    text = M1.text("_shared/record.j2", inputs, paths={"RUN": str(tmp_path / "run"), "UNITS": str(tmp_path)})
    text = program(text, "ExecStartPre", "sha256sum")
    subprocess.run(["/bin/sh", "-c", text], check=True, timeout=30)
    return (tmp_path / "run" / "demo.service.started").read_text()


def test_the_record_holds_digests_of_files_and_stats_of_binaries(tmp_path: Path) -> None:
    unit, config, binary, link = (tmp_path / name for name in ("demo.service", "config", "binary", "link"))
    for path in (unit, config, binary):
        path.write_text(path.name)
    link.symlink_to(binary)
    stat = binary.stat()
    digest = {path: hashlib.sha256(path.name.encode()).hexdigest() for path in (unit, config)}
    assert _record(tmp_path, link, (str(config),)).splitlines() == [
        f"{digest[unit]}  {unit}",
        f"{digest[config]}  {config}",
        f"{stat.st_ino} {stat.st_size} {int(stat.st_mtime)} {int(stat.st_ctime)} {link}",
    ]
    assert list((tmp_path / "run").iterdir()) == [tmp_path / "run" / "demo.service.started"]
    assert (tmp_path / "run" / "demo.service.started").stat().st_mode & 0o777 == 0o600


def test_a_missing_file_is_missing_in_the_record(tmp_path: Path) -> None:
    for name in ("demo.service", "binary"):
        (tmp_path / name).write_text(name)
    lines = _record(tmp_path, tmp_path / "binary", (str(tmp_path / "gone"),)).splitlines()
    assert [line.split()[-1] for line in lines] == [str(tmp_path / "demo.service"), str(tmp_path / "binary")]


@pytest.mark.parametrize(
    ("main", "behind", "seen"),
    [
        ("search lan\nnameserver 10.0.0.1\n", None, "search lan\nnameserver 10.0.0.1\n"),
        ("nameserver 127.0.0.53\noptions edns0\n", "nameserver 10.0.0.2\n", "nameserver 10.0.0.2\n"),
        ("nameserver 127.0.0.1\nnameserver 10.0.0.3\n", "nameserver 10.0.0.2\n", "nameserver 10.0.0.3\n"),
        ("search lan\nnameserver ::1\n", None, "nameserver 10.77.0.11\n"),
        ("", "", "nameserver 10.77.0.11\n"),
        (None, None, "nameserver 10.77.0.11\n"),
    ],
)
def test_pods_get_a_resolver_that_they_can_reach(tmp_path: Path, main: str | None, behind: str | None, seen: str) -> None:
    for name, text in (("main", main), ("behind", behind)):
        if text is not None:
            (tmp_path / name).write_text(text)
    parts = {"resolv_conf": str(tmp_path / "seen"), "resolvers": (str(tmp_path / "main"), str(tmp_path / "behind"))}
    text = program(M1.text("kubelet/resolv.j2", kubelet=parts), "ExecStartPre", "nameserver")
    subprocess.run(["/bin/sh", "-c", text], check=True, timeout=30)
    assert (tmp_path / "seen").read_text() == seen
