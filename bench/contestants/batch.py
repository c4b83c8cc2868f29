"""The floor: paramiko, a connection and a channel per host, one tar; the host is asked for nothing but whether a large file is there."""

from __future__ import annotations

import json
import sys

from bench.servers import PROJECT
from bench.stand import Contestant, Job, Stand
from bench.works import NAME, Work


def order(stand: Stand, work: Work) -> str:
    """The work as a file that ``bench/clients/order.py`` reads."""
    places = {place.name: place.port for place in stand.places}
    ways = {"key": str(stand.key), "known_hosts": str(stand.known_hosts), "hosts": places}
    templates = [{"path": t.path, "text": t.text.replace(NAME, "{{ name }}"), "mode": t.mode} for t in work.templates]
    program = {"path": work.program.path, "mode": work.program.mode, "file": str(stand.program(work))} if work.program else None
    wanted = {"directories": work.directories, "templates": templates, "program": program, "facts": dict(work.facts) if work.facts else None}
    return str(stand.file(f"{work.id}.json", json.dumps(ways | wanted)))


def facts(output: str) -> dict[str, int]:
    """A line per fact: ``host name=value``."""
    found: dict[str, int] = {}
    for line in output.splitlines():
        host, _, fact = line.partition(" ")
        found[host] = found.get(host, 0) + ("=" in fact)
    return found


def job(stand: Stand, work: Work) -> Job:
    argv = (sys.executable, "-m", "bench.clients.batch", order(stand, work))
    return Job(argv=argv, cwd=stand.folder, environment={"PYTHONPATH": str(PROJECT)}, facts=facts)


CONTESTANT = Contestant(name="batch", title="one channel, one tar (paramiko)", job=job, peer=False)
