"""``certs.rotate``: a new CA, or a new key of tokens, while the cluster serves: all trust both, the new one signs, the old one goes.

Each step is a change of the PKI on this machine's disk, brought to every host, and proven. How far a rotation is can be read from that PKI
(``pki.rotate.phase``), so the same command goes on wherever it was interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from kbootstrap.catalog import names
from kbootstrap.engine import certs
from kbootstrap.engine.consumers import Pods
from kbootstrap.engine.prepared import Prepared
from kbootstrap.engine.request import Request
from kbootstrap.engine.staged import Staged, Step, staged
from kbootstrap.engine.timing import stage
from kbootstrap.model.certificate import AUTHORITIES
from kbootstrap.model.events import Note
from kbootstrap.model.pki import SERVICE_ACCOUNT, Issued, Pki
from kbootstrap.model.report import Result
from kbootstrap.pki import inspect, issue, rotate
from kbootstrap.pki.profiles import profiles
from kbootstrap.pki.rotate import Phase
from kbootstrap.plan import consumers
from kbootstrap.plan.consumers import Old
from kbootstrap.report.data import results as results_of
from kbootstrap.store import clock, pki_dir
from kbootstrap.store.entropy import SystemEntropy
from kbootstrap.store.folder import Folder

REREAD_S = 180.0  # a kubelet renews the file of a token within 90 s of its own restart, and client-go reads it once a minute
KINDS = AUTHORITIES
DROP: Final = "DROP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """*name* is of KINDS' values. What runs in pods since before is restarted, or left to itself; neither: the rotation stops before it matters."""

    name: str
    restart_workloads: bool = False
    leave_workloads: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """*steps* were ahead. *held* are the pods, and *tokens* the secrets, because of which it stopped; both empty when it is at its end."""

    steps: tuple[Step, ...]
    lines: tuple[str, ...] = ()
    agreed: bool = True
    results: tuple[Result, ...] = ()
    held: tuple[Old, ...] = ()
    tokens: tuple[str, ...] = ()

    @property
    def waits(self) -> bool:
        return bool(self.held or self.tokens)

    @property
    def of_the_last(self) -> bool:
        """Just the rest of the rotation before was ahead: nothing was rotated anew."""
        return [step.title for step in self.steps] == [DROP]

    def data(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        held = [asdict(each) for each in self.held]
        steps = [{"title": step.title, "meaning": step.meaning, "issues": len(step.issued)} for step in self.steps]
        return {
            "steps": steps,
            "waits": self.waits,
            "of_the_last": self.of_the_last,
            "held": held,
            "tokens": list(self.tokens),
            "checks": results_of(self.results),
        }


def run(request: Request, asked: Asked, *, dry: bool = False) -> Outcome:
    """The whole rotation, or what of it is left. Nothing is written anywhere before the user said yes to the first step's plan."""
    with staged(request, "certs.rotate") as now:
        ahead = steps(now.known, now.pki, asked.name, unfinished=now.unfinished(rotate.undropped(now.pki, asked.name)))
        outcome = Outcome(steps=ahead, lines=tuple(now.told(ahead, ending(request.folder, now.pki, asked.name))))
        if dry:
            return outcome
        if not now.agreed(ahead, outcome.lines):
            return replace(outcome, agreed=False)
        return _Rotating(staged=now, asked=asked).all(outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rotating:
    """A rotation under way, on open connections."""

    staged: Staged
    asked: Asked

    def all(self, outcome: Outcome) -> Outcome:
        """Every step of *outcome*; or until one would cut off pods."""
        pki, results = self.staged.pki, tuple[Result, ...]()
        for step in outcome.steps:
            if step.pki != pki:
                held, tokens = self._cut_off(certs.wants(self.staged.known, pki), step)
                if (held or tokens) and not self.asked.leave_workloads:
                    return replace(outcome, results=results, held=held, tokens=tokens)
            with stage(self.staged.request.listener, step.title):
                brought = self.staged.bring(pki, step)
                self._followed(self._pods(brought.prepared), step.pki, brought.hosts)
            pki, results = step.pki, brought.results
        return replace(outcome, results=results)

    def _pods(self, prepared: Prepared) -> Pods:
        return Pods(prepared=prepared, pool=self.staged.pool, listener=self.staged.request.listener)

    def _followed(self, pods: Pods, pki: Pki, hosts: Sequence[str]) -> None:
        """What reads the change in its own time: the bundles of all namespaces, the kubelets' tokens; then the pods that are ours to restart."""
        name, phase = self.asked.name, rotate.phase(pki, self.asked.name)
        if name == names.CLUSTER_CA:
            pods.wait_for_bundles()
        if (name, phase) == (SERVICE_ACCOUNT, Phase.REISSUE):
            pods.renew_tokens(hosts)
        if (name, phase) in ((names.CLUSTER_CA, Phase.TRUST), (SERVICE_ACCOUNT, Phase.REISSUE)):
            old = pods.old(name)
            pods.restart([pod for pod in old if pod.namespace == consumers.SYSTEM or self.asked.restart_workloads])

    def _cut_off(self, prepared: Prepared, step: Step) -> tuple[tuple[Old, ...], tuple[str, ...]]:
        """The pods that run since before, and the tokens nobody renews, which *step* may cut off: from then on every API server shows a certificate
        of the new CA, or accepts tokens of the new key only."""
        name, listener = self.asked.name, self.staged.request.listener
        if (name, rotate.phase(step.pki, name)) not in ((names.CLUSTER_CA, Phase.REISSUE), (SERVICE_ACCOUNT, Phase.IDLE)):
            return (), ()
        pods = self._pods(prepared)
        held, tokens = pods.old(name), pods.legacy_tokens() if name == SERVICE_ACCOUNT else ()
        for line in consumers.told(held):
            listener(Note(text=f"runs since before, and may not read the new one by itself: {line}", warning=True))
        for token in tokens:
            listener(Note(text=f"dies with the old key: the token in the secret {token}", warning=True))
        if held and name == SERVICE_ACCOUNT and self.asked.leave_workloads:
            listener(Note(text=f"waits {REREAD_S:.0f} s: kubelets renew the tokens of these pods, and what reads them again does so"))
            clock.pause(REREAD_S)
        return held, tokens


def steps(known: Prepared, pki: Pki, name: str, *, unfinished: Sequence[str] = ()) -> tuple[Step, ...]:
    """What is ahead of *pki*. *unfinished* are hosts that still trust what the last rotation dropped: then just its last step is done again."""
    table, now, entropy = profiles(known.spec), clock.now(), SystemEntropy()
    phase, found = rotate.phase(pki, name), list[Step]()
    if phase is Phase.IDLE and unfinished:
        return (Step(title=DROP, meaning=f"the last rotation of {name} comes to its end on {', '.join(unfinished)}; none anew", pki=pki),)
    if phase is Phase.IDLE:
        begun, issued = rotate.begin(pki, name, now=now, certificates=known.spec.certificates, entropy=entropy)
        found.append(_trusted(begun, name, issued))
        pki = begun
    elif phase is Phase.TRUST:
        found.append(_trusted(pki, name))
    if phase in (Phase.IDLE, Phase.TRUST):
        pki, issued = issue.complete(rotate.promote(pki, name), table, now=now, certificates=known.spec.certificates, entropy=entropy)
        found.append(_reissued(pki, name, issued))
    else:
        found.append(_reissued(pki, name))
    return (*found, _dropped(_without_orphans(rotate.drop(pki, name)), name))


def _trusted(pki: Pki, name: str, issued: tuple[Issued, ...] = ()) -> Step:
    note = ", whose key will lie here," if name in pki.cas and not pki.cas[name].key_pem else ""
    meaning = f"a new {name}{note} is trusted beside the old one, which still signs"
    return Step(title="TRUST", meaning=meaning, pki=pki, issued=issued)


def _reissued(pki: Pki, name: str, issued: tuple[Issued, ...] = ()) -> Step:
    return Step(title="REISSUE", meaning=f"the new {name} signs; the old one is still trusted", pki=pki, issued=issued)


def _dropped(pki: Pki, name: str) -> Step:
    return Step(title=DROP, meaning=f"the old {name} is trusted no more", pki=pki)


def _without_orphans(pki: Pki) -> Pki:
    """Pairs that only the CA that goes has signed (of hosts and users that the inventory lacks) go with it: nothing accepts them any more."""
    cas = [ca.cert_pem for ca in pki.cas.values()] + [text for each, text in pki.former.items() if each != SERVICE_ACCOUNT]
    return replace(pki, pairs={i: pair for i, pair in pki.pairs.items() if any(inspect.is_signed_by(pair.cert_pem, ca) for ca in cas)})


def ending(folder: Folder, pki: Pki, name: str) -> tuple[str, ...]:
    """Whose kubeconfigs end with the old one, from the ledger: certificates that it signed, or tokens."""
    living = [entry for entry in pki_dir.ledger(folder.pki) if entry.not_after > clock.now()]
    if name == SERVICE_ACCOUNT:
        return tuple(dict.fromkeys(entry.id for entry in living if entry.id.startswith("token:")))
    old = inspect.describe(pki.former.get(name, pki.cas[name].cert_pem)).common_name
    return tuple(dict.fromkeys(entry.id for entry in living if entry.id.startswith("user:") and entry.issuer == old))
