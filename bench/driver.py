"""``./inv bench``: hosts up, rounds, table, ``bench/results/<date>.json`` and ``.html``."""

from __future__ import annotations

import json
import os
import platform
import random
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

import kbootstrap
from bench import peers
from bench import scale as growth
from bench import short as short_form
from bench.contestants import CONTESTANTS, OURS
from bench.figures import Figure, figures, table
from bench.page import Results, page
from bench.proxy import network
from bench.rounds import Course, Sample, samples
from bench.servers import PROJECT, hosts
from bench.stand import Contestant
from bench.works import WORKS, Work

RESULTS = PROJECT / "bench" / "results"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What to measure; *delay_ms* adds a part behind a network of that round trip (0: none)."""

    hosts: int = 10
    rounds: int = 5
    contestants: tuple[str, ...] = tuple(CONTESTANTS)
    works: tuple[str, ...] = tuple(WORKS)
    delay_ms: float = 20.0
    delayed: tuple[str, ...] = ("W1",)
    seed: int | None = None


def asked(*, hosts: int, rounds: int, peers: str, works: str, seed: int, scale: str, short: bool) -> int:
    """As the command line says it; exit code 2 for a name that is none."""
    names, ids = _words(peers), _words(works)
    if unknown := [*(name for name in names if name not in CONTESTANTS), *(name for name in ids if name not in WORKS)]:
        say(f"There is no {', '.join(unknown)}. Peers: {', '.join(CONTESTANTS)}. Works: {', '.join(WORKS)}.")
        return 2
    if short:
        return short_form.run()
    if scale:
        return growth.run([int(count) for count in _words(scale)], rounds=rounds)
    chosen = tuple(dict.fromkeys((OURS, *names)))
    return run(Wish(hosts=hosts, rounds=rounds, contestants=chosen, works=tuple(ids), seed=seed if seed >= 0 else None))


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def run(wish: Wish) -> int:
    """Everything; returns an exit code: 1 if a contestant did not do a work."""
    if os.geteuid() != 0:
        say("The benchmark's hosts are namespaces: run it as root.")
        return 2
    chosen = [CONTESTANTS[name] for name in wish.contestants]
    if any(each.peer for each in chosen):
        say("installing the peers' newest versions …")
        peers.install()
    seed = random.randrange(10**6) if wish.seed is None else wish.seed  # noqa: S311  an order, no secret
    say(f"{wish.hosts} hosts, {wish.rounds} rounds, seed {seed}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    works = [WORKS[name]() for name in wish.works]
    parts = _measured(wish, works, chosen, seed)
    rows = {title: figures(taken, measure=OURS) for title, taken in parts.items() if taken}
    for title, values in rows.items():
        say(f"\n{title}")
        for text in table(values):
            say(text)
    _save(wish, seed, works, parts, rows)
    return 1 if any(value.failed for values in rows.values() for value in values) else 0


def _measured(wish: Wish, works: Sequence[Work], chosen: Sequence[Contestant], seed: int) -> dict[str, list[Sample]]:
    with ExitStack() as stack:
        farm = stack.enter_context(hosts(wish.hosts))
        folder = farm.base / "stand"
        (folder / "cp").mkdir(parents=True)
        near = Course(farm=farm, folder=folder)
        found = {f"{wish.hosts} hosts": list(samples(near, works, chosen, rounds=wish.rounds, seed=seed, say=say))}
        delayed = [work for work in works if work.id in wish.delayed]
        if wish.delay_ms and delayed:
            far = Course(farm=farm, folder=folder, network=stack.enter_context(network(farm, delay_ms=wish.delay_ms)))
            title = f"{wish.hosts} hosts, {wish.delay_ms:g} ms away"
            found[title] = list(samples(far, delayed, chosen, rounds=wish.rounds, seed=seed, say=say))
        return found


def _save(wish: Wish, seed: int, works: Sequence[Work], parts: dict[str, list[Sample]], rows: dict[str, list[Figure]]) -> None:
    moment = datetime.now(UTC)
    RESULTS.mkdir(exist_ok=True)
    facts = {"seed": str(seed), "rounds": str(wish.rounds), **machine(), **versions(wish.contestants)}
    path = RESULTS / f"{moment:%Y-%m-%d-%H%M%S}.json"
    taken = {title: [sample.data() for sample in some] for title, some in parts.items()}
    path.write_text(json.dumps({"made": moment.isoformat(timespec="seconds"), "facts": facts, "samples": taken}, indent=1))
    titles = {work.id: work.title for work in works}
    text = page(Results(made=f"{moment:%Y-%m-%d %H:%M} UTC", facts=facts, titles=titles, rows=rows))
    path.with_suffix(".html").write_text(text)
    say(f"\n{path}\n{path.with_suffix('.html')}")


def machine() -> dict[str, str]:
    """What it was measured on."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {"machine": f"{os.cpu_count()} processors, {memory_gb:.0f} GB", "kernel": platform.release(), "load": f"{os.getloadavg()[0]:.1f}"}


def versions(contestants: Sequence[str]) -> dict[str, str]:
    """Of everybody who took part."""
    found = {"kbootstrap": kbootstrap.__version__, "Python": platform.python_version()}
    if any(CONTESTANTS[name].peer for name in contestants):
        there = peers.versions()
        found |= {name: there[name] for name in ("ansible-core", "mitogen", "pyinfra", "fabric") if name in there}
    return found


def say(text: str) -> None:
    """A line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
