"""Inventories: ``new``, ``from_vagrant``, ``check``, ``show``, ``schema``, ``trust``. Only ``trust`` contacts hosts."""

from __future__ import annotations

import json as encoder
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from invoke.context import Context
from invoke.tasks import task

from kbootstrap import inventory
from kbootstrap.errors import ConnectError, HostKeyError, InventoryError, KbError, Problem, UsageError
from kbootstrap.inventory import Finding, Severity
from kbootstrap.inventory.loading import any_error, read, refuse
from kbootstrap.inventory.new import from_addresses, named_addresses
from kbootstrap.inventory.vagrant import from_ssh_config
from kbootstrap.remote import hostkeys, keyscan
from kbootstrap.remote import trust as trusting
from kbootstrap.remote.keyscan import Seen
from kbootstrap.remote.trust import Verdict
from kbootstrap.store import inventory_files
from kbootstrap.store.folder import Folder
from kbootstrap.tasks._inventory_common import find_folder, new_folder, reported

_CLUSTER = "folder below inventory/; by default the only one there, or KB_CLUSTER"
_JSON = "the same as JSON"


@task(
    auto_shortflags=False,
    help={
        "name": "the cluster's name, and its folder below inventory/",
        "masters": "addresses, an odd number: 10.0.0.11,10.0.0.12,m3=10.0.0.13",
        "workers": "addresses; one that is a master's too is one host with both roles",
        "user": "login; other than root becomes root by sudo",
        "key": "private key; by default the SSH agent's",
    },
)
@reported
def new(_: Context, name: str, masters: str, workers: str = "", user: str = "root", key: str = "") -> None:
    """Write a commented inventory/<name>/cluster.yml."""
    _write(new_folder(name), from_addresses(name, masters=masters, workers=workers, user=user, key=key))


@task(
    auto_shortflags=False,
    help={
        "name": "the cluster's name, and its folder below inventory/",
        "file": "output of `vagrant ssh-config`, - for standard input; by default vagrant is asked",
        "folder": "where the Vagrantfile lies",
        "addresses": "m1=192.168.56.11,…; by default as in vagrant/Vagrantfile",
    },
)
@reported
def from_vagrant(context: Context, name: str = "vagrant", file: str = "", folder: str = "vagrant", addresses: str = "") -> None:
    """Write inventory/<name>/cluster.yml for running Vagrant machines."""
    text = from_ssh_config(_ssh_config(context, file, folder), name, addresses=named_addresses(addresses, "", {}))
    _write(new_folder(name), text)


@task(auto_shortflags=False, help={"cluster": _CLUSTER, "json": _JSON})
@reported
def check(_: Context, cluster: str = "", json: bool = False) -> None:
    """Judge an inventory offline: every problem at once, with file, line and column."""
    path = find_folder(cluster).cluster_yml
    spec, findings = inventory.check(read(path), str(path), folder=path.parent)
    if json:
        _print_json({"file": str(path), "ok": not any_error(findings), "problems": [_finding(finding) for finding in findings]})
        if any_error(findings):
            raise InventoryError(f"{path} has problems")
        return
    refuse(findings, str(path))
    for finding in findings:
        _note(str(finding))
    if spec:
        _say(f"{path}: good, {len(spec.masters)} masters, {len(spec.workers)} workers, Kubernetes {spec.kubernetes}")


@task(auto_shortflags=False, help={"cluster": _CLUSTER, "host": "the settings of this host instead of the cluster's", "json": _JSON})
@reported
def show(_: Context, cluster: str = "", host: str = "", json: bool = False) -> None:
    """Show every setting, its value after defaults, groups and host were merged, and where it comes from."""
    path = find_folder(cluster).cluster_yml
    draft, findings = inventory.examine(read(path), str(path), folder=path.parent)
    refuse(findings, str(path))
    if draft is None:
        raise InventoryError(f"{path} describes no cluster")
    names = [each.name for each in draft.spec.hosts]
    if host and host not in names:
        raise UsageError(f"{path} has no host {host}", hint=f"It has {', '.join(names)}.")
    rows = [(each.name, _plain(each.value), f"{each.source} {each.where}".strip()) for each in inventory.explain(draft, host)]
    if json:
        _print_json([{"setting": name, "value": value, "from": source} for name, value, source in rows])
        return
    _print_table([(name, value if isinstance(value, str) else encoder.dumps(value), source) for name, value, source in rows])
    if not host:
        _say("")
        _print_table([(each.name, str(each.address), " and ".join(sorted(each.roles))) for each in draft.spec.hosts])


@task(auto_shortflags=False)
@reported
def schema(_: Context) -> None:
    """Print the JSON Schema of cluster.yml, for editors."""
    _print_json(inventory.json_schema())


@task(auto_shortflags=False, help={"cluster": _CLUSTER, "yes": "record new keys without asking; a changed key is refused all the same"})
@reported
def trust(_: Context, cluster: str = "", yes: bool = False) -> None:
    """Show the fingerprints of the hosts' keys and record them in the cluster's known_hosts."""
    folder = find_folder(cluster)
    spec = inventory.load(folder.cluster_yml)
    refused: list[KbError] = []
    for doors in keyscan.targets(spec.hosts):
        known = hostkeys.load(folder.known_hosts)
        seen = keyscan.collect(doors, known_hosts=folder.known_hosts)
        fresh = [door for door in seen if not door.error and trusting.verdict(known, door) is Verdict.NEW]
        refused += [_named(door.error, door) for door in seen if door.error]
        bad = [door for door in seen if not door.error and trusting.verdict(known, door) in (Verdict.CHANGED, Verdict.REVOKED)]
        refused += [trusting.refusal(known, door) for door in bad]
        _show_keys([door for door in seen if not door.error and door not in bad], fresh)
        if fresh:
            _confirm(len(fresh), yes=yes)
            _record(folder, fresh)
    if refused:
        kind = HostKeyError if any(isinstance(error, HostKeyError) for error in refused) else ConnectError
        problems = [Problem(where=error.host, what=error.message, hint=error.hint) for error in refused]
        raise kind(f"{len(refused)} hosts are not trusted", problems=problems)


def _named(error: ConnectError, door: Seen) -> ConnectError:
    error.host = ", ".join(door.target.names)
    return error


def _show_keys(seen: Sequence[Seen], fresh: Sequence[Seen]) -> None:
    rows = []
    for door in seen:
        for key in door.keys:
            kind, print_ = str(key).split()
            rows.append(("+" if door in fresh else "=", ", ".join(door.target.names), door.target.name, kind, print_))
    _print_table(rows)


def _confirm(count: int, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{count} hosts are new, and nobody can be asked here", hint="Compare the fingerprints, then add --yes.")
    answer = input("Compare with `ssh-keygen -lf` on the hosts. Record the keys marked with +? [yes/no] ")
    if answer.strip().lower() != "yes":
        raise UsageError("not confirmed, nothing was recorded")


def _record(folder: Folder, fresh: Sequence[Seen]) -> None:
    text = inventory_files.read_text(folder.known_hosts)
    inventory_files.replace_text(folder.known_hosts, trusting.added(text, fresh))
    _say(f"recorded in {folder.known_hosts}")


def _ssh_config(context: Context, file: str, folder: str) -> str:
    if file == "-":
        return sys.stdin.read()
    if file:
        return read(Path(file))
    with context.cd(folder):
        result = context.run("vagrant ssh-config", hide=True, warn=True)
    if not result or not result.ok:
        raise UsageError("`vagrant ssh-config` failed", hint="Are the machines up (`vagrant up`)? Or give its output with --file.")
    return str(result.stdout)


def _write(folder: Folder, text: str) -> None:
    path = folder.cluster_yml
    _, findings = inventory.check(text, str(path), folder=folder.root)
    if any_error(findings):
        raise InventoryError(f"{path} was not written: it would have problems", problems=findings)
    inventory_files.write_new(path, text)
    for finding in findings:
        _note(str(finding))
    _say(f"wrote {path}; next: `./inv inventory.trust --cluster {folder.name}`")


def _finding(finding: Finding) -> dict[str, str]:
    return {"where": finding.where, "severity": str(Severity(finding.severity)), "what": finding.what, "hint": finding.hint}


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _note(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, (bool, int, float, dict)) or value is None else str(value)


def _print_json(value: Any) -> None:
    _say(encoder.dumps(value, indent=2, ensure_ascii=False))


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        _say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
