"""A whole lab: up, status, down."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, Unpack

from filelock import BaseFileLock, FileLock, Timeout

from kbootstrap.errors import CommandError, LockError, UsageError
from kbootstrap.lab import cgroup, folder, host, image, machine, network, process, record, value
from kbootstrap.lab.command import run
from kbootstrap.lab.value import Lab, LabHost

Say = Callable[[str], None]
_LOCK_TIMEOUT_S = 5.0


class _Wanted(TypedDict):
    name: str
    masters: int
    workers: int
    packages: tuple[str, ...]
    image: Path
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStatus:
    """How a host is right now: *pid* 0 means off."""

    host: LabHost
    pid: int
    ssh: bool


def quiet(_: str) -> None:
    """Say nothing."""


def up(
    *,
    name: str = "lab",
    masters: int = 3,
    workers: int = 2,
    inventory: Path | None = None,
    packages: tuple[str, ...] = (),
    mirror: str = "",
    say: Say = quiet,
) -> Lab:
    """Practice hosts, running and ready for SSH. Of a lab of the same shape only what is missing is started.

    *inventory* is the folder to write, ``inventory/<name>`` below the working directory by default. *packages* go into the base image beside
    the usual ones. Everything is recorded before it is made, so ``down`` finds it even if this process is killed.
    Raises UsageError for an impossible or different shape, KbError when this machine lacks something, CommandError when a host does not boot.
    """
    value.check(name, masters, workers)
    machine.equip(say)
    record.cache().mkdir(parents=True, exist_ok=True)
    with _sole(name):
        known = record.load(name)
        kept = known is not None and known.image.is_dir()
        base = known.image if known and kept else image.ready(record.cache(), packages=packages, mirror=mirror, say=say)
        place = (inventory or Path("inventory") / name).absolute()
        extra = tuple(sorted(packages))
        lab = _recorded(name=name, masters=masters, workers=workers, packages=extra, image=base, folder=place)
        machine.prepare()
        folder.fill(lab, machine.look())
        network.raise_bridge(lab)
        with ThreadPoolExecutor(max_workers=8) as pool:
            tuple(pool.map(host.boot, lab.hosts))
        _check_path(lab)
    _tell(lab, say)
    return lab


@contextmanager
def _sole(name: str) -> Iterator[None]:
    """Hold the lab *name* against other processes; the kernel lets go when this one ends, in whatever way."""
    lock = FileLock(record.cache() / f"{name}.lock", timeout=_LOCK_TIMEOUT_S)
    try:
        lock.acquire()
    except Timeout as error:
        raise LockError(f"another lab.up or lab.down of the lab {name} is at work", hint="Wait for its end, or end it.") from error
    try:
        yield
    finally:
        lock.release()


def _all_labs() -> BaseFileLock:
    """Held for moments: the choice of a network, and what the labs of a machine have in common."""
    return FileLock(record.cache() / "all-labs.lock")


def _recorded(**wanted: Unpack[_Wanted]) -> Lab:
    """The lab that exists under this name, else a new record of one on the first free network."""
    with _all_labs():
        known = record.load(wanted["name"])
        if known is None:
            taken = (*network.in_use(), *(other.network for other in record.recorded()))
            known = record.Record(network=network.first_free(taken), **wanted)
            machine.remember()
            record.save(known)
        machine.remember()
    if known != record.Record(network=known.network, **wanted):
        what = f"{known.masters} masters, {known.workers} workers, image {known.image.name}, inventory {known.folder}"
        raise UsageError(
            f"there is a lab {known.name} already: {what}",
            hint=f"Remove it: invoke lab.down --name {known.name}; or give the new one another name with --name.",
        )
    return known.lab()


def _tell(lab: Lab, say: Say) -> None:
    """What was changed on the machine, and what will be."""
    say(f"lab {lab.name}: {len(lab.hosts)} hosts on {lab.network}, inventory in {lab.folder}")
    what = f"bridge {lab.bridge}; namespaces, bridge ports and cgroups {lab.bridge}-*; {record.home(lab.name)}"
    say(f"on this machine until `invoke lab.down --name {lab.name}`: {what}")
    for setting, before, now in machine.changed():
        say(f"changed until the last lab goes: {setting} {before} → {now}")
    say(f"kubelets will change, recorded likewise: {', '.join(machine.KUBELETS)}")


def _check_path(lab: Lab) -> None:
    """Where bridged frames pass the machine's firewall, it may drop what hosts say to each other; better known now than as a dead etcd."""
    if len(lab.hosts) > 1:
        first, second = lab.hosts[:2]
        done = host.execute(first, ["timeout", "5", "bash", "-c", f"exec 3<>/dev/tcp/{second.address}/22"])
        if done.returncode:
            raise CommandError(
                f"{first.name} cannot reach {second.name}: {done.stderr.strip() or 'no answer'}",
                hint=f"This machine's firewall drops bridged traffic: iptables -I FORWARD -i {lab.bridge} -o {lab.bridge} -j ACCEPT",
            )


def find(name: str = "lab") -> Lab:
    """The lab called *name*; UsageError if there is none."""
    known = record.load(name)
    if known is None:
        raise UsageError(f"there is no lab {name}", hint=f"Make it: invoke lab.up --name {name}")
    return known.lab()


def status(lab: Lab) -> tuple[HostStatus, ...]:
    """Every host of *lab* as it is now."""
    return tuple(HostStatus(host=h, pid=host.pid(h), ssh=host.answers(h)) for h in lab.hosts)


def traces(name: str) -> tuple[str, ...]:
    """Everything on this machine that belongs to the lab *name*, its record aside, in words."""
    return tuple(_traces(name))


def _traces(name: str) -> Iterator[str]:
    pattern = record.labels(name)
    home = record.home(name)
    yield from (f"process {pid}" for pid in sorted(process.members(pattern) | process.using(home)))
    yield from (f"link {link}" for link in network.links(pattern, f"kb-{name}"))
    yield from (f"namespace {space}" for space in network.namespaces(pattern))
    yield from (f"cgroup {place}" for place in cgroup.folders(pattern))
    yield from (f"mount {place}" for place in _mounts(home))
    yield from (f"folder {place}" for place in (home / "hosts",) if place.exists())


def _mounts(below: Path) -> list[str]:
    """Mount points below a folder, deepest first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted((p for p in points if Path(p).is_relative_to(below)), reverse=True)


def down(name: str = "lab", *, say: Say = quiet) -> None:
    """Remove the lab *name* with all that belongs to it, however its maker ended. Doing it twice is fine; running hosts lose their data."""
    value.check(name, 1, 0)
    machine.equip(say)
    record.cache().mkdir(parents=True, exist_ok=True)
    with _sole(name):
        known = record.load(name)
        _remove(name)
        for kept in folder.empty(known.lab(), machine.look()) if known else ():
            say(f"kept {kept}")
        home = record.home(name)
        with _all_labs():
            if home.exists():
                shutil.rmtree(home)
            for done in machine.restore() if not record.recorded() else ():
                say(done)
        image.clean(record.cache())
    say(f"lab {name}: gone" if known else f"lab {name}: there was none")


def _remove(name: str) -> None:
    """Again until nothing is found: a program that the killed tool had just started may still have been at work."""
    pattern, home = record.labels(name), record.home(name)
    for _ in range(5):
        process.kill(lambda: process.members(pattern) | process.using(home))
        for thing in {*network.links(pattern, f"kb-{name}"), *network.namespaces(pattern)}:
            network.remove(thing)
        cgroup.remove(pattern)
        for point in _mounts(home):
            run(["umount", "--lazy", point])
        if home.exists():
            shutil.rmtree(home / "hosts", ignore_errors=True)
        for left in host.propagated():
            if pattern.fullmatch(left.name):
                with suppress(FileNotFoundError):
                    left.rmdir()
        if not (left_over := traces(name)):
            return
    raise CommandError(
        f"lab {name}: cannot remove {', '.join(left_over)}", hint=f"Again: invoke lab.down --name {name}; if it stays, restart the machine."
    )
