"""Many hosts behind real sshd servers: a dead one costs its own deadline, a slow one holds nobody, and no more than ``--forks`` are worked on."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from bench.servers import Farm, hosts
from kbootstrap.errors import ConnectError
from kbootstrap.model.host import Host, Role, Ssh
from kbootstrap.remote import ssh
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Pool

COUNT = 16


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    with hosts(COUNT, per_server=8) as running:
        yield running


def a_host(farm: Farm, name: str, port: int) -> Host:
    way = Ssh(user="root", host="127.0.0.1", port=port, key=farm.key)
    return Host(name=name, address=ipaddress.IPv4Address("10.9.0.1"), roles=frozenset({Role.WORKER}), ssh=way)


def pool(farm: Farm, *more: Host, forks: int) -> Pool:
    mine = [a_host(farm, place.name, place.port) for place in farm.places]
    return Pool([*more, *mine], partial(ssh.connect, known_hosts=farm.known_hosts, ssh_config=None, timeout_s=5), forks=forks)


def hostname(connection: Connection) -> str:
    running = connection.run("cat /etc/hostname")
    found = b"".join(running.lines()).decode()
    running.finish()
    return found


def test_a_dead_and_a_slow_one_hold_nobody(farm: Farm, no_agent: None) -> None:
    """Of three forks one waits for the dead host, one for the slow one, and the third does all the rest. The slow one is the last to end."""
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel answers for it, its sshd never does
        dead = a_host(farm, "dead", silent.getsockname()[1])
        others, lock = threading.Event(), threading.Lock()
        done: list[str] = []

        def work(host: Host, connection: Connection) -> str:
            if host.name == "h1":
                assert others.wait(60), "the others wait for the slow one"
            found = hostname(connection)
            with lock:
                done.append(host.name)
                if len(done) == COUNT - 1:
                    others.set()
            return found

        with pool(farm, dead, forks=3) as all_:
            outcomes = all_.map(work)
            assert {name: outcome.get() for name, outcome in outcomes.items() if outcome.ok} == {place.name: place.name for place in farm.places}
            assert done[-1] == "h1"
            with pytest.raises(ConnectError, match="connected, but no login within 5 s"):
                outcomes["dead"].get()
            assert not all_.map(lambda host, connection: 0, [dead])["dead"].ok  # at once: it is not tried again


def test_no_more_than_forks_at_once(farm: Farm, no_agent: None) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def work(host: Host, connection: Connection) -> str:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        found = hostname(connection)
        with lock:
            now -= 1
        return found

    with pool(farm, forks=4) as all_:
        assert len([outcome.get() for outcome in all_.map(work).values()]) == COUNT
    assert 2 <= most <= 4
