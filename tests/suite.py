"""What ``./inv test`` and CI run: one list of steps, read top to bottom; the first that fails ends it."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from kbootstrap import lab as lab_of
from kbootstrap.errors import KbError
from kbootstrap.lab import machine, record
from kbootstrap.store.artifacts import default_cache

ROOT = Path(__file__).parents[1]
LAB_LIMIT_S = 25 * 60.0
LONG_S = 240  # of the lab's time goes to long cases; ten minutes is the most it may be
_GRACE_S = 180.0  # for a terminated pytest to take its hosts down
_FULL_S = 24 * 3600.0
PROGRAMS = {  # which the local tests call → Debian package
    "sshd": "openssh-server", "ssh": "openssh-client", "openssl": "openssl", "nft": "nftables", "ip": "iproute2", "iptables": "iptables",
    "sudo": "sudo", "useradd": "passwd", "ps": "procps", "unshare": "util-linux", "systemd-analyze": "systemd", "git": "git", "vagrant": "vagrant",
    "kubectl": "kubernetes-client", "gcc": "gcc", "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
    "qemu-aarch64-static": "qemu-user-static", "pkg-config": "pkg-config", "socat": "socat", "chromium": "chromium",
}  # fmt: skip
HEADERS = {"seccomp.h": ("libseccomp-dev", "libc6-dev")}  # for a runc that is built here
PYTHON = (sys.executable, "-m")
_OF_TESTS = re.compile(r"kb[a-z]+\d\d")  # tests/lab/conftest.py: claimed()
_COUNT = re.compile(r"(\d+) (failed|errors?|passed|skipped|deselected|xfailed|xpassed)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A name, a program, how long it may take, and whether its output is shown as it comes (else only if it fails)."""

    name: str
    argv: tuple[str, ...]
    limit_s: float = 900.0
    shown: bool = False


def steps(*, long: bool, lab: bool) -> Iterator[Step]:
    """THE list."""
    yield Step(name="lint", argv=(*PYTHON, "ruff", "check", "--quiet", "."))
    yield Step(name="format", argv=(*PYTHON, "ruff", "format", "--check", "--quiet", "."))
    yield Step(name="types", argv=(*PYTHON, "mypy"))
    pytest = (*PYTHON, "pytest", "-q", "--color=no")
    quick = () if long else ("--long-s=0",)
    yield Step(name="unit, cases, golden, local", argv=(*pytest, "tests", "--ignore=tests/lab", *quick), limit_s=1800.0, shown=True)
    if lab and long:
        passed = default_cache().parent / f"passed-{tree()}"
        argv = (*pytest, "tests/lab", f"--passed={passed}")
        yield Step(name="lab, every case", argv=argv, limit_s=_FULL_S, shown=True)
    elif lab:
        yield Step(name="binaries for the lab", argv=(*PYTHON, "invoke", "artifacts.fetch", "--cluster=example"), limit_s=3000.0, shown=True)
        seed = os.environ.get("KB_SEED") or str(random.randrange(10**6))  # noqa: S311  a sample, no secret
        sampled = (*pytest, "tests/lab", f"--long-s={LONG_S}", f"--seed={seed}")
        yield Step(name=f"lab, with a sample of the long cases (KB_SEED={seed})", argv=sampled, limit_s=LAB_LIMIT_S, shown=True)


def run(*, long: bool, lab: bool) -> int:
    """Every step with its time; the last line sums up what pytest said. Returns an exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began, summaries, code = time.monotonic(), list[str](), 0
    try:
        machine.install(missing(), say)
    except KbError as error:  # tests that need it are skipped then; under CI=true that is a failure
        say(f"{error}\n  {error.hint}")
    for step in steps(long=long, lab=lab):
        if step.shown:
            say(f"── {step.name} …")
        start = time.monotonic()
        code, output = execute(step)
        if code and not step.shown:
            say(output)
        say(f"{'✓' if not code else '✗'} {step.name}: {time.monotonic() - start:.1f} s")
        if "pytest" in step.argv:
            summaries.append(output.rstrip().rpartition("\n")[2])
        if code:
            say(f"to repeat it: {' '.join(step.argv)}")
            break
    sweep()
    say(total(summaries, time.monotonic() - began))
    return 1 if code else 0


def tree() -> str:
    """git's name of the files as they are now, committed or not: what a case's success is worth remembering for."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "GIT_INDEX_FILE": f"{folder}/index"}
        subprocess.run(["git", "add", "--all"], cwd=ROOT, env=environment, check=True, capture_output=True)
        done = subprocess.run(["git", "write-tree"], cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def sweep() -> None:
    """Take down practice hosts of tests that were killed. Those of another run, which holds their name's lock, stay."""
    for known in record.recorded() if os.geteuid() == 0 else ():
        if _OF_TESTS.fullmatch(known.name):
            with suppress(Timeout), FileLock(Path(tempfile.gettempdir()) / "kbootstrap-tests" / f"{known.name}.lock", timeout=0):
                lab_of.down(known.name, say=say)


def missing() -> list[str]:
    """Debian packages whose programs or headers this machine does not have."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    found = {package for program, package in PROGRAMS.items() if not shutil.which(program, path=path)}
    found |= {package for header, packages in HEADERS.items() if not Path("/usr/include", header).exists() for package in packages}
    return sorted(found)


def execute(step: Step) -> tuple[int, str]:
    """Its exit code and output. It has a session of its own: Ctrl-C, SIGTERM and its limit reach it as one SIGTERM (see ``end``)."""
    with subprocess.Popen(
        step.argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True
    ) as process:
        limit = threading.Timer(step.limit_s, end, (process, f"{step.name}: not done after {step.limit_s:.0f} s"))
        limit.start()
        lines = []
        try:
            for line in process.stdout or ():
                lines.append(line)
                if step.shown:
                    say(line.rstrip("\n"))
        except KeyboardInterrupt:
            end(process, f"{step.name}: interrupted")
            raise
        finally:
            limit.cancel()
    return process.returncode, "".join(lines)


def end(process: subprocess.Popen[str], why: str) -> None:
    """Ask *process* to end (pytest then takes its hosts down); after a while end its whole group."""
    say(why)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_S)
        return
    os.killpg(process.pid, signal.SIGKILL)


def total(summaries: list[str], seconds: float) -> str:
    """Summary lines of pytest as one: ``1022 passed, 5 deselected in 300.1s``."""
    counts: Counter[str] = Counter()
    for line in summaries:
        counts.update({word.rstrip("s"): int(number) for number, word in _COUNT.findall(line)})
    return f"{', '.join(f'{number} {word}' for word, number in counts.items()) or 'no tests ran'} in {seconds:.1f}s"


def say(text: str) -> None:
    """A line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
