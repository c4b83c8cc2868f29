"""What the inventory's tasks do and print; imported only when one runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from invoke.context import Context

from kbootstrap import inventory
from kbootstrap.errors import InventoryError, UsageError, counted
from kbootstrap.inventory import Finding, ansible
from kbootstrap.inventory import tree as inventory_tree
from kbootstrap.inventory.draft import Draft
from kbootstrap.inventory.loading import any_error, read, refuse
from kbootstrap.inventory.new import from_addresses, named_addresses
from kbootstrap.inventory.vagrant import from_ssh_config
from kbootstrap.store import inventory_files
from kbootstrap.store.folder import Folder
from kbootstrap.tasks._common import ROOT, complain, say


def new(name: str, *, masters: str, workers: str, user: str, key: str) -> None:
    """See the task."""
    _write(name, from_addresses(name, masters=masters, workers=workers, user=user, key=key))


def from_vagrant(context: Context, name: str, *, file: str, folder: str, addresses: str) -> None:
    """See the task."""
    _write(name, from_ssh_config(_ssh_config(context, file, folder), name, addresses=named_addresses(addresses, "", {})))


def from_ansible(name: str, *, file: str) -> None:
    """See the task."""
    _write(name, ansible.from_ansible(read(Path(file)), file, name))


def check(folder: Folder, *, as_json: bool) -> None:
    """See the task. Exit code 2 with ``--json`` too."""
    path = folder.cluster_yml
    draft, findings = inventory.examine(read(path), str(path), folder=path.parent)
    if draft is not None:
        findings = tuple(sorted((*findings, *_lost_keys(draft)), key=lambda finding: finding.mark))
    if as_json:
        print_json({"file": str(path), "ok": not any_error(findings), "problems": [_row(finding) for finding in findings]})
        if any_error(findings):
            raise InventoryError(f"{path} has problems")
        return
    refuse(findings, str(path))
    for finding in findings:
        complain(str(finding))
    if draft is not None:
        spec = draft.spec
        say(f"{path}: good, {counted(len(spec.masters), 'master')}, {counted(len(spec.workers), 'worker')}, Kubernetes {spec.kubernetes}")


def _lost_keys(draft: Draft) -> Iterator[Finding]:
    """Key files that the inventory names and this machine lacks, each place once. The public half alone is enough where the agent has the key."""
    named: dict[inventory_tree.Path, Path] = {}
    for host in draft.spec.hosts:
        bastion = host.ssh.bastion
        for setting, key in ((("ssh", "key"), host.ssh.key), (("ssh", "bastion", "key"), bastion.key if bastion else None)):
            if key is not None and not key.is_file() and not Path(f"{key}.pub").is_file():
                named[draft.path_of(host.name, *setting)] = key
    for place, key in named.items():
        what = "is no file" if key.exists() else "does not exist"
        yield draft.error(place, f"{'.'.join(map(str, place[-2:]))}: {key} {what}", "Name the private key, or leave it out for the SSH agent's.")


def show(folder: Folder, host: str, *, as_json: bool) -> None:
    """See the task."""
    path = folder.cluster_yml
    draft, findings = inventory.examine(read(path), str(path), folder=path.parent)
    refuse(findings, str(path))
    if draft is None:
        raise InventoryError(f"{path} describes no cluster")
    names = [each.name for each in draft.spec.hosts]
    if host and host not in names:
        raise UsageError(f"{path} has no host {host}", hint=f"It has {', '.join(names)}.")
    rows = [(each.name, _plain(each.value), f"{each.source} {each.where}".strip()) for each in inventory.explain(draft, host)]
    if as_json:
        print_json([{"setting": name, "value": value, "from": source} for name, value, source in rows])
        return
    print_table([(name, value if isinstance(value, str) else json.dumps(value), source) for name, value, source in rows])
    if not host:
        say("")
        print_table([(each.name, str(each.address), " and ".join(sorted(each.roles))) for each in draft.spec.hosts])


def schema() -> None:
    """See the task."""
    print_json(inventory.json_schema())


def print_json(value: Any) -> None:
    """A value as JSON on standard output."""
    say(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(rows: Sequence[tuple[str, ...]]) -> None:
    """Columns as wide as their widest cell."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _ssh_config(context: Context, file: str, folder: str) -> str:
    if file == "-":
        return sys.stdin.read()
    if file:
        return read(Path(file))
    with context.cd(folder):
        result = context.run("vagrant ssh-config", hide=True, warn=True, in_stream=False)
    if not result or not result.ok:
        raise UsageError("`vagrant ssh-config` failed", hint="Are the machines up (`vagrant up`)? Or give its output with --file.")
    return str(result.stdout)


def _write(name: str, text: str) -> None:
    if not name or name.startswith((".", "-")) or not all(char.isascii() and (char.isalnum() or char == "-") for char in name):
        raise UsageError(f"{name!r} cannot be a cluster's name", hint="Use a-z, 0-9 and -, such as lab.")
    folder = Folder(root=ROOT / name)
    path = folder.cluster_yml
    _, findings = inventory.check(text, str(path), folder=folder.root)
    if any_error(findings):
        raise InventoryError(f"{path} was not written: it would have problems", problems=findings)
    inventory_files.write_new(path, text)
    for finding in findings:
        complain(str(finding))
    say(f"wrote {path}; next: `invoke inventory.trust --cluster {name}`")


def _row(finding: Finding) -> dict[str, str]:
    return {"where": finding.where, "severity": str(finding.severity), "what": finding.what, "hint": finding.hint}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, (bool, int, float, dict)) or value is None else str(value)
