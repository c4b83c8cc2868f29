"""pyinfra: its own operations, all hosts in parallel, no questions."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bench.peers import script
from bench.stand import Contestant, Job, Stand
from bench.works import NAME, Work

_FACTS = (
    "server.Hostname", "server.Kernel", "server.KernelVersion", "server.Arch", "server.Os", "server.OsVersion", "server.LinuxDistribution",
    "server.User", "server.Home", "server.Path", "server.TmpDir", "server.Date", "server.Timezone", "server.Mounts", "server.Groups", "server.Users",
    "server.OsRelease", "server.LoadAverage", "server.EtcHosts", "hardware.Cpus", "hardware.Memory",
)  # fmt: skip  # one more than asked


def job(stand: Stand, work: Work) -> Job:
    shared = {"ssh_user": "root", "ssh_key": str(stand.key), "ssh_known_hosts_file": str(stand.known_hosts), "ssh_strict_host_key_checking": "yes"}
    hosts = [(place.name, {"ssh_hostname": "127.0.0.1", "ssh_port": place.port, **shared}) for place in stand.places]
    inventory = stand.file("inventory.py", f"hosts = {hosts!r}\n")
    deploy = stand.file(f"{work.id}.py", _asking() if work.facts is not None else _deploy(stand, work))
    argv = (str(script("pyinfra")), "-y", "--parallel", str(len(hosts)), str(inventory), str(deploy))
    return Job(argv=argv, cwd=stand.folder, facts=_facts)


def _deploy(stand: Stand, work: Work) -> str:
    lines = ["from pyinfra.operations import files", ""]
    lines += [f"files.directory(path={path!r}, mode={f'{mode:o}'!r})" for path, mode in work.directories]
    for number, template in enumerate(work.templates):
        source = stand.file(f"{work.id}/{number}.j2", template.text.replace(NAME, "{{ host.name }}"))
        lines.append(f"files.template(src={str(source)!r}, dest={template.path!r}, mode={f'{template.mode:o}'!r})")
    if work.program is not None:
        lines.append(f"files.put(src={str(stand.program(work))!r}, dest={work.program.path!r}, mode={f'{work.program.mode:o}'!r})")
    return "\n".join([*lines, ""])


def _asking() -> str:
    """Facts by a deploy: the command ``fact`` takes one with arguments at a time."""
    counted = ", ".join(f"host.get_fact({name})" for name in _FACTS)
    return (
        "import sys\nfrom pyinfra import host\nfrom pyinfra.facts import hardware, server\n\n"
        f"found = [{counted}]\nsys.stdout.write(f'FACTS {{host.name}} {{sum(one is not None for one in found)}}\\n')\n"
    )


def _facts(output: str) -> Mapping[str, int]:
    return {host: int(count) for host, count in re.findall(r"FACTS (\S+) (\d+)", output)}


CONTESTANT = Contestant(name="pyinfra", title="pyinfra", job=job)
