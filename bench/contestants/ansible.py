"""ansible-core, plain and with mitogen: 50 forks, pipelining, ControlPersist, no fact gathering, the interpreter named."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from bench.peers import mitogen_strategies, script
from bench.stand import Contestant, Job, Stand
from bench.works import NAME, Work

_CONFIG = """\
[defaults]
forks = 50
gathering = explicit
host_key_checking = True
retry_files_enabled = False
interpreter_python = /usr/bin/python3
local_tmp = {folder}/tmp
{more}
[ssh_connection]
pipelining = True
ssh_args = -F none -o ControlMaster=auto -o ControlPersist=60s -o UserKnownHostsFile={known_hosts} -o PreferredAuthentications=publickey
control_path_dir = {control}
"""


def plain(stand: Stand, work: Work) -> Job:
    return _job(stand, work, "")


def mitogen(stand: Stand, work: Work) -> Job:
    return _job(stand, work, f"strategy_plugins = {mitogen_strategies()}\nstrategy = mitogen_linear\n")


def _job(stand: Stand, work: Work, more: str) -> Job:
    control = stand.folder.parent / "cp"  # short: a socket's path has 107 bytes at most
    config = stand.file("ansible.cfg", _CONFIG.format(folder=stand.folder, known_hosts=stand.known_hosts, control=control, more=more))
    lines = [
        f"{p.name} ansible_host=127.0.0.1 ansible_port={p.port} ansible_user=root ansible_ssh_private_key_file={stand.key}" for p in stand.places
    ]
    hosts = stand.file("hosts.ini", "\n".join(["[all]", *lines, ""]))
    play = stand.file(f"{work.id}.yml", yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": _tasks(stand, work)}], sort_keys=False))
    argv = (str(script("ansible-playbook")), "-i", str(hosts), str(play))
    environment = {"ANSIBLE_CONFIG": str(config), "ANSIBLE_HOME": str(stand.folder / "home"), "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"}
    return Job(argv=argv, cwd=stand.folder, environment=environment, facts=_facts)


def _tasks(stand: Stand, work: Work) -> list[Mapping[str, Any]]:
    if work.facts is not None:
        gather = {"name": "facts", "ansible.builtin.setup": {"gather_subset": ["!all", "min", "hardware"]}}
        return [gather, {"name": "told", "ansible.builtin.debug": {"msg": "FACTS {{ inventory_hostname }} {{ ansible_facts | length }}"}}]
    for number, template in enumerate(work.templates):
        stand.file(f"{work.id}/{number}.j2", template.text.replace(NAME, "{{ inventory_hostname }}"))
    folders = [{"path": path, "mode": f"{mode:04o}"} for path, mode in work.directories]
    texts = [{"src": f"{stand.folder}/{work.id}/{n}.j2", "dest": t.path, "mode": f"{t.mode:04o}"} for n, t in enumerate(work.templates)]
    tasks: list[Mapping[str, Any]] = []
    if folders:
        tasks.append({"ansible.builtin.file": {"path": "{{ item.path }}", "state": "directory", "mode": "{{ item.mode }}"}, "loop": folders})
    if texts:
        wanted = {"src": "{{ item.src }}", "dest": "{{ item.dest }}", "mode": "{{ item.mode }}"}
        tasks.append({"ansible.builtin.template": wanted, "loop": texts})
    if work.program is not None:
        tasks.append({"ansible.builtin.copy": {"src": str(stand.program(work)), "dest": work.program.path, "mode": f"{work.program.mode:04o}"}})
    return tasks


def _facts(output: str) -> Mapping[str, int]:
    return {host: int(count) for host, count in re.findall(r"FACTS (\S+) (\d+)", output)}


PLAIN = Contestant(name="ansible", title="ansible-core", job=plain)
MITOGEN = Contestant(name="mitogen", title="ansible-core with mitogen", job=mitogen)
