"""kbootstrap: works are roles, applied as a user would: ``role.apply --yes``. Facts are asked as its engine asks: one program over one channel."""

from __future__ import annotations

import compileall
import json
import re
import shutil
import sys
from collections.abc import Mapping
from functools import cache
from ipaddress import IPv4Address
from typing import Final

import yaml

from bench.servers import PROJECT
from bench.stand import Contestant, Job, Stand
from bench.works import NAME, Work

ADDRESSES: Final = IPv4Address("10.77.0.1")
ENVIRONMENT: Final[Mapping[str, str]] = {"PYTHONPATH": str(PROJECT)}


@cache
def compiled() -> None:
    """As pip does where a tool is installed: in a fresh checkout the first command would pay for that."""
    compileall.compile_dir(PROJECT / "kbootstrap", quiet=1)


def job(stand: Stand, work: Work) -> Job:
    compiled()
    inventory(stand)
    if work.facts is not None:
        asked = stand.file("facts-asked.json", json.dumps(dict(work.facts)))
        asking = (sys.executable, "-m", "bench.clients.kb_facts", "inventory/bench", str(asked))
        return Job(argv=asking, cwd=stand.folder, environment=ENVIRONMENT, facts=_facts)
    role(stand, work)
    argv = (sys.executable, "-m", "kbootstrap", "role.apply", "--role", work.id, "--cluster", "bench", "--yes")
    return Job(argv=argv, cwd=stand.folder, environment=ENVIRONMENT)


def inventory(stand: Stand) -> None:
    """``inventory/bench``: the first host is called a master, since there must be one; a role does not mind."""
    found = {
        place.name: {"address": str(ADDRESSES + number), "ssh": {"host": "127.0.0.1", "port": place.port}}
        for number, place in enumerate(stand.places)
    }
    first, *others = found
    hosts = {"masters": {first: found[first]}, **({"workers": {name: found[name] for name in others}} if others else {})}
    document = {"cluster": "bench", "kubernetes": "1.36.3", "ssh": {"user": "root", "key": str(stand.key)}, "hosts": hosts}
    document |= {"network": {"pods": "10.128.0.0/12", "services": "10.96.0.0/16"}}
    stand.file("inventory/bench/cluster.yml", yaml.safe_dump(document, sort_keys=False))
    stand.file("inventory/bench/known_hosts", stand.known_hosts.read_text())


def role(stand: Stand, work: Work) -> None:
    """The folder of a role that says what *work* wants."""
    described: dict[str, object] = {"name": work.id.lower(), "on": "all"}
    described["directories"] = [{"path": path, "mode": f"{mode:04o}"} for path, mode in work.directories]
    described["files"] = [{"path": t.path, "template": f"{n}.j2", "mode": f"{t.mode:04o}"} for n, t in enumerate(work.templates)]
    for number, template in enumerate(work.templates):
        stand.file(f"{work.id}/templates/{number}.j2", template.text.replace(NAME, "{{ host.name }}"))
    if work.program is not None:
        described["binaries"] = [{"name": "program", "path": work.program.path}]
        target = stand.folder / work.id / "bin" / "program"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(stand.program(work), target)
    text = re.sub(r"'(0[0-7]{3})'", r"\1", yaml.safe_dump(described, sort_keys=False))  # modes as people write them
    stand.file(f"{work.id}/role.yml", text)


def _facts(output: str) -> Mapping[str, int]:
    return {host: len(found) for host, found in json.loads(output).items()}


CONTESTANT = Contestant(name="kbootstrap", title="kbootstrap", job=job, peer=False)
