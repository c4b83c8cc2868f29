"""The port matrix: ``ports.matrix`` prints it, ``ports.check`` proves it between the real hosts."""

from __future__ import annotations

import json as encoder
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from kbootstrap.errors import PreflightError
from kbootstrap.tasks._common import CLUSTER_HELP, JSON_HELP, find_folder, reported, say

if TYPE_CHECKING:
    from kbootstrap.model.cluster import ClusterSpec
    from kbootstrap.model.reach import Proof


@task(auto_shortflags=False, help={"cluster": CLUSTER_HELP, "json": JSON_HELP, "html": "write the matrix as a page of its own to this file"})
@reported
def matrix(_: Context, cluster: str = "", json: bool = False, html: str = "") -> None:
    """Show who must reach whom, on which ports, and why; asks no host."""
    from kbootstrap import inventory, topology
    from kbootstrap.report import ports

    spec = inventory.load(find_folder(cluster).cluster_yml)
    if html:
        _write(html, spec)
        say(html)
        return
    rows = topology.rows(spec)
    if json:
        say(encoder.dumps(ports.matrix_data([(row.port, row.targets, row.sources) for row in rows]), indent=1))
        return
    for line in ports.matrix([(row.port, row.targets) for row in rows]):
        say(line)


def _write(path: str, spec: ClusterSpec, proofs: Sequence[Proof] = (), *, note: str = "") -> None:
    """The page with the matrix alone: the same section as in report.html."""
    from kbootstrap.engine import report
    from kbootstrap.report.html import matrix_page
    from kbootstrap.store import inventory_files

    page = matrix_page(spec.name, report.rows(spec), proofs, hosts=[host.name for host in spec.hosts], note=note)
    inventory_files.replace_text(Path(path), page)


@task(
    auto_shortflags=False,
    help={
        "cluster": CLUSTER_HELP,
        "limit": "only what comes from or goes to these hosts (m1,w2)",
        "json": JSON_HELP,
        "html": "write what was proven as a page of its own to this file, too",
        "ask_sudo_password": "ask for sudo's password",
        "sudo_password_fd": "read sudo's password from this file descriptor",
    },
)
@reported
def check(
    _: Context, cluster: str = "", limit: str = "", json: bool = False, html: str = "",
    ask_sudo_password: bool = False, sudo_password_fd: int = -1,
) -> None:  # fmt: skip
    """Prove every row of the matrix between the hosts, before or after installation; changes nothing. Exit code 4: a pair is not open."""
    from kbootstrap.engine import ports
    from kbootstrap.engine.contact import contact
    from kbootstrap.report import ports as report
    from kbootstrap.tasks import _request

    names = tuple(part.strip() for part in limit.split(",") if part.strip())
    folder = find_folder(cluster)
    with _request.open_(folder, quiet=json, ask=ask_sudo_password, fd=sudo_password_fd) as request:
        known = contact(folder)
        with request.connect(known) as pool:
            proofs = ports.check(known.spec, pool, request.listener, pairs=ports.wanted(known.spec, names))
    if html:
        _write(html, known.spec, proofs, note=f"Asked was only what comes from or goes to {', '.join(names)}." if names else "")
    bad = ports.failing(proofs)
    if json:
        say(encoder.dumps({"open": sum(proof.ok for proof in proofs), "pairs": report.proofs_data(proofs)}, indent=1))
    elif proofs:
        say(report.summary(proofs))
        for problem in report.problems(proof for proof in proofs if proof.mute):
            say(f"  {problem}")
    else:
        say("There is nothing to prove: no host must reach another.")
    if html and not json:
        say(html)
    if bad:
        raise PreflightError(f"{len(bad)} of {len(proofs)} pairs are not open", problems=report.problems(bad), hint=ports.HINT)
