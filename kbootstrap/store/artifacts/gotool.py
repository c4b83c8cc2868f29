"""Running the user's own ``go`` command: found, timed, shown, and its failures told with their last lines."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from kbootstrap.errors import UnavailableError
from kbootstrap.model.events import Listener, Progress

DEADLINE_S = 3600.0
_TAIL = 12
INSTALL = "Install Go (https://go.dev/dl/, 1.26 or newer for Kubernetes 1.36) and put it in PATH, or use another source (--source release)."


def require() -> str:
    """The path of ``go``; UnavailableError says what to install."""
    path = shutil.which("go")
    if path is None:
        raise UnavailableError("go is not installed (no «go» in PATH)", hint=INSTALL)
    return path


def environment(arch: str, *, cgo: bool) -> dict[str, str]:
    """The user's environment (module proxy, credentials, caches) with everything that would change the result set by us."""
    fixed = {"GOOS": "linux", "GOARCH": arch, "GOAMD64": "v1", "GOARM64": "v8.0", "CGO_ENABLED": str(int(cgo))}
    return {**os.environ, **fixed, "GOFLAGS": "-buildvcs=false", "GOWORK": "off", "GO111MODULE": "on", "GOEXPERIMENT": ""}


def native_arch() -> str:
    """This machine's architecture in Go's words; what needs C is not built for another one."""
    machine = platform.machine().lower()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def version(folder: Path, env: Mapping[str, str]) -> str:
    """``go1.26.8``: the toolchain that a build in *folder* uses."""
    return run(["env", "GOVERSION"], folder=folder, env=env, what="go env GOVERSION").strip()


def run(arguments: Sequence[str], *, folder: Path, env: Mapping[str, str], what: str, listener: Listener | None = None) -> str:
    """Run ``go`` with *arguments* in *folder*; returns its standard output.

    Every line on its standard error counts as one step of progress (``go build -v`` writes one per package). UnavailableError carries the last
    lines and the command to repeat by hand.
    """
    command = [require(), *arguments]
    tail: deque[str] = deque(maxlen=_TAIL)
    output: list[str] = []
    with _process(command, folder, env) as process:
        assert process.stdout is not None  # noqa: S101  asked for in _process
        assert process.stderr is not None  # noqa: S101
        reader = threading.Thread(target=lambda stream: output.append(stream.read()), args=(process.stdout,), daemon=True)
        reader.start()
        for step, line in enumerate(process.stderr, 1):
            if " " in line.strip():  # else it is a package's name, from -v
                tail.append(line.rstrip())
            if listener is not None:
                listener(Progress(label=what, done=step, total=0, unit="steps"))
        reader.join()
        code = process.wait()
    if code != 0:
        lines = "\n  ".join(line for line in tail if not line.startswith("go: downloading ")) or "(no output)"
        raise UnavailableError(f"{what} failed (exit {code}):\n  {lines}", hint=f"To see it all: cd {folder} && {_by_hand(command, env)}")
    return "".join(output)


@contextmanager
def _process(command: Sequence[str], folder: Path, env: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, cwd=folder, env=dict(env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
    watchdog = threading.Timer(DEADLINE_S, process.kill)
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        if process.poll() is None:
            process.kill()
            process.wait()


def _by_hand(command: Sequence[str], env: Mapping[str, str]) -> str:
    settings = " ".join(f"{key}={env[key]}" for key in ("GOARCH", "CGO_ENABLED"))
    return f"{settings} go {' '.join(repr(a) if ' ' in a else a for a in command[1:])}"
