"""The same batch by OpenSSH's own client: a process of ``ssh`` per host, a tar into each."""

from __future__ import annotations

import sys

from bench.contestants import batch
from bench.servers import PROJECT
from bench.stand import Contestant, Job, Stand
from bench.works import Work


def job(stand: Stand, work: Work) -> Job:
    argv = (sys.executable, "-m", "bench.clients.openssh", batch.order(stand, work))
    return Job(argv=argv, cwd=stand.folder, environment={"PYTHONPATH": str(PROJECT)}, facts=batch.facts)


CONTESTANT = Contestant(name="openssh", title="ssh and one tar", job=job, peer=False)
