"""The lab's inventory folder: ``cluster.yml`` with the options that this machine needs, known_hosts, key, sudo password."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

from kbootstrap.catalog.ports import SSH
from kbootstrap.catalog.releases import default_kubernetes
from kbootstrap.lab import record, seed
from kbootstrap.lab.machine import Machine
from kbootstrap.lab.value import SUDO_USER, Lab, LabHost

KEY = "ssh/id_ed25519"
PASSWORD = "sudo.pass"  # noqa: S105  a file's name
_OURS = ("known_hosts", KEY, f"{KEY}.pub", PASSWORD)
_CLUSTERS = ("pki", "state.yml", "admin.conf", ".lock")  # a practice cluster ends with its hosts


def cluster_yml(lab: Lab, machine: Machine) -> str:
    """The inventory. Each option below ``host:`` stands there because hosts on one kernel, or this machine, need it."""
    kubelet = [*(["allow_cgroup_v1: true"] if machine.cgroup_v1 else []), *(["fail_swap_on: false"] if machine.swap else [])]
    lines = [
        "# The practice hosts of `lab.up`, and what this machine needs. `lab.up` keeps your edits; `lab.down` removes the hosts.",
        f"cluster: {lab.name}",
        f'kubernetes: "{default_kubernetes()}"',
        "etcd: {heartbeat_ms: 300, election_ms: 3000}  # all hosts share this machine's processors and disk",
        f"ssh: {{user: root, key: {KEY}}}",
        "host: {swap: leave, sysctl: namespaced, modules: leave}  # one kernel for all hosts: theirs are only network settings",
    ]
    if kubelet:
        lines.append(f"kubelet: {{{', '.join(kubelet)}}}  # this machine's own cgroups and swap")
    if not machine.sys_resource:
        lines.append("runtime: {restrict_oom_score_adj: true}  # root of this machine lacks CAP_SYS_RESOURCE")
    lines.append("proxy: {conntrack_max_per_core: 0}  # the table's size is the machine's to set")
    lines.append("hosts:")
    for group, hosts in (("masters", lab.masters), ("workers", lab.workers)):
        if hosts:
            lines += [f"  {group}:", *(f"    {host.name}: {{{_entry(host)}}}" for host in hosts)]
    return "\n".join(lines) + "\n"


def _entry(host: LabHost) -> str:
    sudo = f", ssh: {{user: {SUDO_USER}, sudo: {{needed: true, password: true, password_file: {PASSWORD}}}}}"
    return f"address: {host.address}{'' if host.login == 'root' else sudo}"


def fill(lab: Lab, machine: Machine) -> None:
    """Write what is missing, seeds of the hosts included; an edited cluster.yml stays."""
    lab.folder.mkdir(parents=True, exist_ok=True)
    (lab.folder / "ssh").mkdir(mode=0o700, exist_ok=True)
    public = _operator_key(lab.folder)
    password = _password(lab.folder)
    missing = [host for host in lab.hosts if not (host.home / "seed").is_dir()]
    shadow = seed.crypt(password, lab.hosts[0].image) if missing else ""
    for host in missing:
        host.home.mkdir(parents=True, exist_ok=True)
        seed.write(host, authorized=public, shadow=shadow)
    known = "".join(f"{host.address} {' '.join(seed.host_key(host).split()[:2])}\n" for host in lab.hosts)
    record.write(lab.folder / "known_hosts", known, mode=0o644)
    if not (lab.folder / "cluster.yml").exists():
        record.write(lab.folder / "cluster.yml", cluster_yml(lab, machine), mode=0o644)


def _operator_key(folder: Path) -> str:
    """The public half; made if there is none. The public file is written last, so both are whole if it exists."""
    public = folder / f"{KEY}.pub"
    if not public.exists():
        private, line = seed.key_pair()
        record.write(folder / KEY, private, mode=0o600)
        record.write(public, f"{line} kbootstrap lab\n", mode=0o644)
    return public.read_text().strip()


def _password(folder: Path) -> str:
    path = folder / PASSWORD
    if not path.exists():
        record.write(path, f"{secrets.token_urlsafe(18)}\n", mode=0o600)
    return path.read_text().strip()


def empty(lab: Lab, machine: Machine) -> list[str]:
    """Remove the lab's files and the state of a cluster that ended with its hosts; what the user wrote stays. What was kept, and why."""
    kept = []
    path = lab.folder / "cluster.yml"
    if path.exists() and path.read_text() == cluster_yml(lab, machine):
        path.unlink()
    elif path.exists():
        path.rename(path.with_suffix(".yml.edited"))
        kept.append(f"{path}.edited: your edits")
    for place in [lab.folder / name for name in (*_OURS, *_CLUSTERS)] + [record.unfinished(lab.folder / name) for name in ("cluster.yml", *_OURS)]:
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
    for folder in (lab.folder / "ssh", lab.folder):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return kept


def ssh_argv(lab: Lab, host: LabHost) -> list[str]:
    """The real ssh client, logging in to *host* with nothing but the lab's key and known_hosts."""
    options = [
        f"UserKnownHostsFile={lab.folder / 'known_hosts'}",
        "GlobalKnownHostsFile=/dev/null",
        "StrictHostKeyChecking=yes",
        "IdentitiesOnly=yes",
        "PasswordAuthentication=no",
    ]
    flags = [part for option in options for part in ("-o", option)]
    return ["ssh", "-F", "none", "-i", str(lab.folder / KEY), "-p", str(SSH.number), *flags, f"{host.login}@{host.address}"]
