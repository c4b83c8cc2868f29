"""``report.html``: one page of everything, for people; ``--json``: the same facts for programs."""

from __future__ import annotations

import json as encoder
from pathlib import Path

from invoke.context import Context
from invoke.tasks import task

from kbootstrap.tasks._common import CLUSTER_HELP, find_folder, reported, say

STDOUT = "-"


@task(
    auto_shortflags=False,
    help={
        "cluster": CLUSTER_HELP,
        "to": "where the page goes, - for standard output; by default report.html in the cluster's folder",
        "offline": "ask no host: topology, ports and certificates as the inventory and the PKI have them",
        "json": "print the same facts as JSON; the page is written only where --to says",
        "ask_sudo_password": "ask for sudo's password",
        "sudo_password_fd": "read sudo's password from this file descriptor",
    },
)
@reported
def html(
    _: Context,
    cluster: str = "",
    to: str = "",
    offline: bool = False,
    json: bool = False,
    ask_sudo_password: bool = False,
    sudo_password_fd: int = -1,
) -> None:
    """Write a page that tells all: topology, port matrix, preflight, versions, units, certificates. Complete in one file; changes nothing."""
    from kbootstrap.engine import report
    from kbootstrap.report import html as pages
    from kbootstrap.store import inventory_files
    from kbootstrap.tasks import _request

    folder = find_folder(cluster)
    with _request.open_(folder, quiet=json, ask=ask_sudo_password, fd=sudo_password_fd) as request:
        view = report.collect(request, offline=offline)
    if json:
        say(encoder.dumps(pages.data(view), indent=1))
    if to == STDOUT and not json:
        say(pages.page(view))
    elif to or not json:
        path = Path(to) if to and to != STDOUT else folder.root / "report.html"
        inventory_files.replace_text(path, pages.page(view))
        if not json:
            say(f"{pages.verdict(view).text}\n{path}")
