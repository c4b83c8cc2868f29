"""The hosts of the race: a lab whose root takes the operator's key, bare before every run; and OpenSSH as an expert's script would use it."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kbootstrap import lab as labs
from kbootstrap.lab import Lab, LabHost

NAME = "labrace"
FORKS = 10
DEADLINE_S = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """*folder*: where commands run; the inventory is ``inventory/labrace`` below it."""

    lab: Lab
    folder: Path

    @property
    def inventory(self) -> Path:
        return self.lab.folder

    def bare(self) -> None:
        """Every host as it was before its first boot, and no cluster on the operator's side; running on return."""
        self.each(labs.bare)
        for name in ("pki", "state.yml", "admin.conf", ".lock"):
            path = self.inventory / name
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

    def ssh(self, host: LabHost, command: str, payload: Path | None = None) -> str:
        """*command* as root on *host*, *payload* as its input; RuntimeError with its last words if it fails."""
        options = ["-F", "none", "-o", f"UserKnownHostsFile={self.inventory / 'known_hosts'}", "-o", "BatchMode=yes", "-c", "aes128-gcm@openssh.com"]
        argv = ["ssh", *options, "-i", str(self.inventory / "ssh/id_ed25519"), f"root@{host.address}", f"set -e; {command}"]
        with payload.open("rb") if payload else Path("/dev/null").open("rb") as given:
            done = subprocess.run(argv, stdin=given, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        if done.returncode:
            raise RuntimeError(f"{host.name}: {command[:80]}: exit {done.returncode}: {(done.stdout + done.stderr)[-1500:]}")
        return done.stdout

    def each(self, work: Callable[[LabHost], object]) -> None:
        """*work* on all hosts at once."""
        together([partial(work, host) for host in self.lab.hosts])

    def ready(self, kubectl: str, *, nodes: int) -> None:
        """Wait on the first master until *nodes* nodes are Ready."""
        count = f"{kubectl} get nodes --no-headers 2>/dev/null | grep -cw Ready"
        self.ssh(self.lab.masters[0], f'until [ "$({count})" = {nodes} ]; do sleep 0.25; done')


def together(works: Sequence[Callable[[], object]]) -> None:
    """All of *works* at once; the first exception of any."""
    with ThreadPoolExecutor(FORKS) as pool:
        for done in [pool.submit(work) for work in works]:
            done.result()


@contextmanager
def hosts(masters: int, workers: int) -> Iterator[Hosts]:
    """The lab, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="kb-race-") as name:
        folder = Path(name)
        labs.down(NAME)
        try:
            made = labs.up(name=NAME, masters=masters, workers=workers, inventory=folder / "inventory" / NAME)
            public = (made.folder / "ssh/id_ed25519.pub").read_text()
            for host in made.hosts:
                place = host.home / "seed/root/.ssh/authorized_keys"
                place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                place.write_text(public)
            yield Hosts(lab=made, folder=folder)
        finally:
            labs.down(NAME)


def quoted(words: Sequence[str]) -> str:
    return " ".join(map(shlex.quote, words))
