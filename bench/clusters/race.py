"""Rounds of the race, shuffled, and its table. «again» is ``cluster.up`` on the cluster that it has just made."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from bench.clusters import floor, kubeadm
from bench.clusters.hosts import NAME, Hosts, hosts
from bench.contestants.kbootstrap import compiled
from bench.servers import PROJECT

OURS, AGAIN, FLOOR, KUBEADM = "cluster.up", "again", "floor", "kubeadm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lap:
    """One run: from bare hosts to its end. *cpu_s* is the whole machine's."""

    name: str
    wall_s: float
    cpu_s: float


def run(*, rounds: int, seed: int | None, masters: int = 3, workers: int = 2) -> int:
    """Every contestant once per round; exit code 0 when all came to their end."""
    seed = random.randrange(1000) if seed is None else seed  # noqa: S311  an order, no secret
    shuffled = random.Random(seed)  # noqa: S311
    say(f"{masters}+{workers}, {rounds} rounds, seed {seed}")
    laps: list[Lap] = []
    compiled()
    with hosts(masters, workers) as course:
        kit = kubeadm.material(course)
        for number in range(1, rounds + 1):
            names = [OURS, FLOOR, KUBEADM]
            shuffled.shuffle(names)
            for name in names:
                course.bare()
                work = _work(name, course, kit)
                for lap in (name, AGAIN) if name == OURS else (name,):
                    laps.append(_lap(lap, work))
                    say(f"round {number}  {lap:<10} {laps[-1].wall_s:6.1f} s  {laps[-1].cpu_s:6.1f} CPU s of the machine")
    for line in table(laps):
        say(line)
    return 0


def _work(name: str, course: Hosts, kit: kubeadm.Kit) -> Callable[[], None]:
    """The run of *name* on the hosts as they are, which are bare; what its author has ready is made now, before the clock starts."""
    if name == OURS:
        return partial(_ours, course)
    if name == KUBEADM:
        return partial(kubeadm.run, course, kit)
    return partial(floor.run, course, floor.material(course))


def _lap(name: str, work: Callable[[], None]) -> Lap:
    began, spent = time.monotonic(), _spent_s()
    work()
    return Lap(name=name, wall_s=time.monotonic() - began, cpu_s=_spent_s() - spent)


def _spent_s() -> float:
    """CPU seconds of this machine since it started: user, nice, system, irq, softirq."""
    words = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return sum(int(words[place]) for place in (1, 2, 3, 6, 7)) / os.sysconf("SC_CLK_TCK")


def _ours(course: Hosts) -> None:
    argv = [sys.executable, "-m", "kbootstrap", "cluster.up", "--cluster", NAME, "--yes"]
    done = subprocess.run(argv, cwd=course.folder, env={**os.environ, "PYTHONPATH": str(PROJECT)}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"cluster.up: exit {done.returncode}\n{(done.stdout + done.stderr)[-3000:]}")


def table(laps: list[Lap]) -> list[str]:
    """A line each: median, range, ratio to ours."""
    names = list(dict.fromkeys(lap.name for lap in sorted(laps, key=lambda lap: lap.name)))
    middle = {name: median(lap.wall_s for lap in laps if lap.name == name) for name in names}
    lines = []
    for name in names:
        walls = sorted(lap.wall_s for lap in laps if lap.name == name)
        cpu = median(lap.cpu_s for lap in laps if lap.name == name)
        ratio = middle[OURS] / middle[name]
        lines.append(f"{name:<10} {middle[name]:6.1f} s ({walls[0]:.1f}–{walls[-1]:.1f})  {cpu:6.1f} CPU s  ours is {ratio:.2f} × it")
    return lines


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
