"""Short-lived listeners on many hosts, and all dials between them at once; ``engine/ports.py`` says what is asked and what follows from it.

One program per host listens and dials, over one channel. Where no folder of a host lets a program run, its sshd dials TCP for us.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Final

from kbootstrap.catalog import ports as catalog
from kbootstrap.errors import CommandError, ConnectError, KbError
from kbootstrap.model.cluster import ClusterSpec, Plugin
from kbootstrap.model.host import Host
from kbootstrap.model.reach import Pair, Proof
from kbootstrap.probe import binary, judge, talk
from kbootstrap.probe.talk import Dial, Hello, Reply
from kbootstrap.remote.connection import Connection, Running
from kbootstrap.remote.pool import Pool
from kbootstrap.render.network import VXLAN_DEVICE, VXLAN_ID
from kbootstrap.store import entropy

DEADLINE_S: Final = 120.0  # of everything on one host; a dial's own is in kb-probe.c
DIAL_S: Final = 3.4
FALLBACK_DIALS: Final = 8  # at once through a host's sshd


@contextmanager
def listeners(spec: ClusterSpec, pool: Pool, pairs: Sequence[Pair]) -> Iterator[Listeners]:
    """The listeners that *pairs* need, up on every host that can be read; ``prove`` may then be called as often as one likes."""
    found = Listeners(spec=spec, pool=pool, token=entropy.marker())
    names = {name for pair in pairs for name in (pair.source, pair.target)}
    try:
        outcomes = pool.map(partial(found.start, pairs=pairs), [host for host in spec.hosts if host.name in names])
        found.errors.update({name: str(o.error.message) for name, o in outcomes.items() if o.error is not None})
        yield found
    finally:
        found.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    """The program on one host. *feed* is its standard input, ended by None."""

    running: Running
    lines: Iterator[bytes]
    feed: SimpleQueue[bytes | None]
    hello: Hello


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """A pair that is dialled, and how."""

    pair: Pair
    dial: Dial


@dataclass(kw_only=True)
class Listeners:
    """See ``listeners``. *errors*: why a host takes no part."""

    spec: ClusterSpec
    pool: Pool
    token: str
    errors: dict[str, str] = field(default_factory=dict)
    _sessions: dict[str, _Session] = field(default_factory=dict)
    _asked: int = 0

    def start(self, host: Host, connection: Connection, *, pairs: Sequence[Pair]) -> None:
        """Put the program on *host* and let it listen."""
        here = sorted({(pair.port.protocol, pair.number) for pair in pairs if pair.target == host.name})
        code = binary.read(host.arch)
        feed: SimpleQueue[bytes | None] = SimpleQueue()
        feed.put(code + talk.listens(self.token, host.name, host.address, here))
        tunnel = VXLAN_DEVICE if self.spec.network.plugin is Plugin.VXLAN else ""
        text = talk.program(arch=host.arch, size=len(code), proxy=host.proxy.mode, tunnel=tunnel)
        running = connection.run(text, payload=iter(feed.get, None), deadline_s=DEADLINE_S)
        lines = running.lines()
        try:
            said = talk.hello(lines)
        except BaseException:
            feed.put(None)
            running.close()
            raise
        self._sessions[host.name] = _Session(running=running, lines=lines, feed=feed, hello=said)

    def prove(self, pairs: Sequence[Pair]) -> tuple[Proof, ...]:
        """Dial all of *pairs* at once; proofs in their order."""
        proofs: dict[str, Proof] = {}
        asked: dict[str, list[_Question]] = {}
        for pair in pairs:
            if why := self._cannot(pair):
                proofs[pair.id] = judge.unproven(pair, why)
            else:
                self._asked += 1
                asked.setdefault(pair.source, []).append(_Question(pair=pair, dial=self._dial(pair, self._asked)))
        replies, arrived = self._ask(asked, proofs)
        for question in (question for mine in asked.values() for question in mine if question.dial.id in replies):
            proofs[question.pair.id] = self._judged(question, replies[question.dial.id], arrived)
        return tuple(proofs[pair.id] for pair in pairs)

    def _cannot(self, pair: Pair) -> str:
        """Why *pair* cannot be asked, or nothing."""
        for name in (pair.source, pair.target):
            if name not in self._sessions:
                return f"{name}: {self.errors.get(name, 'it took no part')}"
        source, target = self._sessions[pair.source].hello, self._sessions[pair.target].hello
        if pair.port.protocol == "tcp" or (pair.port == catalog.VXLAN and target.tunnel and not source.unable):
            return ""
        for name, side in ((pair.source, source), (pair.target, target)):
            if side.unable:
                return f"{name}: {side.unable}"
        if not target.listening(pair.port.protocol, pair.number) and not target.taken(pair.port.protocol, pair.number):
            return f"{pair.target}: nothing of ours can listen on this port"
        return ""

    def _dial(self, pair: Pair, number: int) -> Dial:
        target, port = self._sessions[pair.target].hello, pair.port
        address = self.spec.host(pair.target).address
        if port == catalog.VXLAN and target.tunnel:
            return Dial(id=number, protocol="vxlan", address=address, port=pair.number, want=target.tunnel, vni=VXLAN_ID)
        want = target.listening(port.protocol, pair.number)
        return Dial(id=number, protocol=port.protocol, address=address, port=pair.number, want=int(want))

    def _judged(self, question: _Question, reply: Reply, arrived: Mapping[int, set[int]]) -> Proof:
        pair, dial = question.pair, question.dial
        if dial.protocol == "vxlan":
            return judge.tunnel(pair, reply, frozenset(arrived.get(dial.id, ())), dial.want, address=str(dial.address))
        return judge.verdict(pair, self._sessions[pair.target].hello, reply, self.token, address=str(dial.address))

    def _ask(self, asked: Mapping[str, Sequence[_Question]], proofs: dict[str, Proof]) -> tuple[dict[int, Reply], dict[int, set[int]]]:
        """Replies by a dial's id, and what came out of tunnels. A host that fails meanwhile: its pairs are unproven."""
        replies: dict[int, Reply] = {}
        arrived: dict[int, set[int]] = {}
        hosts = [self.spec.host(name) for name in asked]
        outcomes = self.pool.map(lambda host, c: self._from(c, [q.dial for q in asked[host.name]], arrived), hosts)
        for outcome in outcomes.values():
            if outcome.error is None:
                replies.update(outcome.get())
        if any(q.dial.protocol == "vxlan" for mine in asked.values() for q in mine):
            self._hear(arrived)
        for name, mine in asked.items():
            error = outcomes[name].error if name in outcomes else None
            why = error.message if error is not None else "it gave no result"
            proofs.update({q.pair.id: judge.unproven(q.pair, f"{name}: {why}") for q in mine if q.dial.id not in replies})
        return replies, arrived

    def _from(self, connection: Connection, asked: Sequence[Dial], arrived: dict[int, set[int]]) -> dict[int, Reply]:
        session = self._sessions[connection.host]
        if session.hello.unable:
            with ThreadPoolExecutor(FALLBACK_DIALS) as threads:
                return dict(zip([d.id for d in asked], threads.map(partial(_through_sshd, connection), asked), strict=True))
        session.feed.put(talk.dials(asked))
        return _replies(session, arrived)

    def _hear(self, arrived: dict[int, set[int]]) -> None:
        """What came out of tunnels may be told after a host's own dials were done: an empty round brings it."""
        hosts = [self.spec.host(name) for name, session in self._sessions.items() if session.hello.tunnel and not session.hello.unable]
        for outcome in self.pool.map(lambda host, connection: self._from(connection, (), arrived), hosts).values():
            if outcome.error is not None:
                self.errors[outcome.host] = outcome.error.message

    def close(self) -> None:
        """End the programs, which have removed themselves already, and wait until the ports are free again: daemons are about to take them."""
        for session in self._sessions.values():
            session.feed.put(None)
        self.pool.map(lambda host, _: self._sessions[host.name].running.finish(), [self.spec.host(name) for name in self._sessions])
        for session in self._sessions.values():
            session.running.close()


def _replies(session: _Session, arrived: dict[int, set[int]]) -> dict[int, Reply]:
    found: dict[int, Reply] = {}
    for line in session.lines:
        if line == talk.DONE:
            return found
        if frame := talk.seen(line):
            arrived.setdefault(frame[0], set()).add(frame[1])
        elif result := talk.reply(line):
            found[result[0]] = result[1]
    raise CommandError(f"the probe ended early: {session.running.finish().stderr.strip()[-200:]}")


def _through_sshd(connection: Connection, dial: Dial) -> Reply:
    """A TCP dial by the host's sshd, for a host where no program of ours runs."""
    try:
        stream = connection.dial(str(dial.address), dial.port, timeout_s=DIAL_S)
    except ConnectError:
        raise
    except KbError as error:
        return _as_reply(error.message)
    try:
        answer = stream.recv(96) if dial.want else b""
    except (CommandError, OSError):
        answer = b""
    finally:
        stream.close()
    return Reply(what="open", answer=answer.decode("utf-8", "replace").strip())


def _as_reply(message: str) -> Reply:
    """sshd has only words for what it met."""
    text = message.lower()
    for sign, number in (("refused", errno.ECONNREFUSED), ("no route", errno.EHOSTUNREACH), ("unreachable", errno.ENETUNREACH)):
        if sign in text:
            return Reply(what="error", errno=number)
    return Reply(what="silent", elapsed_ms=int(DIAL_S * 1000))
