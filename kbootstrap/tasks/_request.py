"""From options to a ``Request``, and from an ``Outcome`` to the screen; imported late, so that ``--list`` stays quick."""

from __future__ import annotations

import json as encoder
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from kbootstrap.engine import offline
from kbootstrap.engine.request import Request
from kbootstrap.engine.timing import span
from kbootstrap.errors import ConnectError, KbError, Problem, VerifyError
from kbootstrap.model.events import Note, silent
from kbootstrap.model.host import Host
from kbootstrap.model.plan import Plan
from kbootstrap.model.report import Result
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Pool
from kbootstrap.remote.ssh import connect
from kbootstrap.report import data, text
from kbootstrap.report.live import Live
from kbootstrap.store.folder import Folder
from kbootstrap.tasks import _forks, _timings
from kbootstrap.tasks._common import Passwords, block, complain, examined_by, say
from kbootstrap.tasks._passphrase import asking_aside
from kbootstrap.tasks._runner import in_hand

if TYPE_CHECKING:
    from kbootstrap.engine.prepared import Prepared
    from kbootstrap.engine.run import Outcome


@contextmanager
def open_(
    folder: Folder, *, quiet: bool, ask: bool, fd: int, limit: tuple[str, ...] = (), only: tuple[str, ...] = (), deep: bool = False,
    confirm: Callable[[Plan], bool] = lambda plan: True, take_lock: bool = False,
) -> Iterator[Request]:  # fmt: skip
    """A request whose progress shows on standard error (not with *quiet*)."""
    live = Live(wording=in_hand)
    aside = nullcontext if quiet else live.aside
    passwords = Passwords(ask=ask, descriptor=fd, aside=aside)

    def asked(plan: Plan) -> bool:
        with aside():
            return confirm(plan)

    listener = _timings.recorder().beside(silent if quiet else live)

    def pool(prepared: Prepared) -> Pool:
        def stopped() -> None:
            listener(Note(text="interrupted: what is under way on the hosts ends first; Ctrl-C again ends at once", warning=True))

        def dial(host: Host) -> Connection:
            with span(listener, "connect", host.name):
                return connect(host, known_hosts=folder.known_hosts, password=passwords.of(host))

        return Pool(prepared.spec.hosts, dial, forks=_forks.number(), on_stop=stopped)

    def look(error: KbError, command: str) -> None:
        from kbootstrap.engine import autopsy

        if autopsy.worth(error):
            complain("Looking for the cause …")
            autopsy.examine(folder, pool, error, command=command, block=block)

    examined_by(look)
    with nullcontext() if quiet else live, asking_aside(aside):
        yield Request(folder=folder, listener=listener, connect=pool, confirm=asked, limit=limit, only=only, deep=deep, take_lock=take_lock)


def show(outcome: Outcome, folder: Folder, *, as_json: bool, every: bool = False) -> None:
    """The end of a run; VerifyError when a check failed."""
    if as_json:
        found = {"findings": data.findings(outcome.picture.findings), "checks": data.results(outcome.results)}
        say(encoder.dumps({"applied": outcome.applied, **data.plan(outcome.picture.plan), **found}, indent=1))
    else:
        if outcome.picture.plan.empty and not outcome.applied:
            say(f"0 changes: {text.as_wanted([problem.where for problem in outcome.picture.left_out])}")
        for line in text.results(outcome.results, every=every):
            say(line)
        if proof := offline.proof(outcome.prepared.spec):
            say(proof)
    refuse_failed(outcome.results, told=not as_json)
    if outcome.applied and not as_json:
        say("Slowest steps: " + " · ".join(f"{timing} {timing.seconds:.1f} s" for timing in _timings.slowest()))
        say(f"The cluster is up. kubectl --kubeconfig {folder.admin_conf} get nodes")


def refuse_failed(results: Sequence[Result], *, told: bool = True) -> None:
    """VerifyError if a check failed; *told*: each has had its line already."""
    if bad := [result for result in results if not result.ok]:
        problems = [result.problem for result in bad]
        error = VerifyError(f"{len(bad)} of {len(results)} checks failed", problems=() if told else problems, hint="invoke cluster.status")
        error.about = tuple(problems)
        raise error


def refuse_unread(left_out: Sequence[Problem]) -> None:
    """ConnectError if there are hosts of which nothing is known: a plan without them is not the whole."""
    if left_out:
        count = f"{len(left_out)} host{'s were' if len(left_out) > 1 else ' was'} not read"
        raise ConnectError(count, problems=left_out, hint="Mend them, or leave them out with --limit.")
