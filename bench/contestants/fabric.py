"""Fabric: a ThreadingGroup of all hosts; one command compares checksums, SFTP brings what differs."""

from __future__ import annotations

from bench.contestants import batch
from bench.peers import python
from bench.servers import PROJECT
from bench.stand import Contestant, Job, Stand
from bench.works import Work


def job(stand: Stand, work: Work) -> Job:
    argv = (str(python()), str(PROJECT / "bench/clients/fabric_group.py"), batch.order(stand, work))
    return Job(argv=argv, cwd=stand.folder, environment={"PYTHONPATH": str(PROJECT)}, facts=batch.facts)


CONTESTANT = Contestant(name="fabric", title="Fabric", job=job)
