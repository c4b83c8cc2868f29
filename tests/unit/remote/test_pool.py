"""Many hosts at once: outcomes, dead hosts, bugs, and Ctrl-C."""

from __future__ import annotations

import ipaddress
import os
import signal
import threading
import time

import pytest

from kbootstrap.errors import CommandError, ConnectError
from kbootstrap.model.host import Host, Role, Ssh
from kbootstrap.remote.connection import Connection
from kbootstrap.remote.pool import Pool
from kbootstrap.testing.fake_host import FakeHost


def host(name: str) -> Host:
    return Host(name=name, address=ipaddress.IPv4Address("10.0.0.1"), roles=frozenset({Role.WORKER}), ssh=Ssh(user="root", host=name))


HOSTS = [host(f"w{n}") for n in range(5)]


class Fleet:
    """Connects to anything but the dead; counts."""

    def __init__(self, *dead: str) -> None:
        self.dead = dead
        self.attempts: list[str] = []
        self.hosts: dict[str, FakeHost] = {}

    def connect(self, wanted: Host) -> Connection:
        self.attempts.append(wanted.name)
        if wanted.name in self.dead:
            raise ConnectError("connection refused")
        self.hosts[wanted.name] = FakeHost(host=wanted.name)
        return self.hosts[wanted.name]


def test_one_outcome_per_host_in_order() -> None:
    with Pool(HOSTS, Fleet().connect) as pool:
        outcomes = pool.map(lambda wanted, connection: connection.host)
    assert list(outcomes) == [h.name for h in HOSTS]
    assert [outcome.get() for outcome in outcomes.values()] == [h.name for h in HOSTS]


def test_a_dead_host_is_its_own_outcome_and_is_tried_once() -> None:
    fleet = Fleet("w2")
    with Pool(HOSTS, fleet.connect) as pool:
        for _ in range(3):
            outcomes = pool.map(lambda wanted, connection: 1)
            assert [name for name, outcome in outcomes.items() if not outcome.ok] == ["w2"]
            with pytest.raises(ConnectError, match="w2: connection refused"):
                outcomes["w2"].get()
        assert fleet.attempts.count("w2") == 1
        assert fleet.attempts.count("w1") == 1
        fleet.dead = ()
        pool.forget(HOSTS[2])
        assert pool.map(lambda wanted, connection: 1)["w2"].ok


def test_an_error_on_one_host_names_it_and_leaves_the_others() -> None:
    def work(wanted: Host, connection: Connection) -> str:
        if wanted.name == "w3":
            raise CommandError("exit 1")
        return "done"

    with Pool(HOSTS, Fleet().connect) as pool:
        outcomes = pool.map(work)
    assert str(outcomes["w3"].error) == "w3: exit 1"
    assert sum(outcome.ok for outcome in outcomes.values()) == 4


def test_a_bug_is_raised_with_its_host() -> None:
    def work(wanted: Host, connection: Connection) -> None:
        if wanted.name == "w1":
            raise ZeroDivisionError("a bug")

    with Pool(HOSTS, Fleet().connect) as pool, pytest.raises(ZeroDivisionError) as caught:
        pool.map(work)
    assert caught.value.__notes__ == ["on host w1"]


def test_some_hosts_only() -> None:
    fleet = Fleet()
    with Pool(HOSTS, fleet.connect) as pool:
        assert list(pool.map(lambda wanted, connection: 1, HOSTS[3:1:-1])) == ["w3", "w2"]
    assert sorted(fleet.attempts) == ["w2", "w3"]


def test_no_hosts() -> None:
    with Pool([], Fleet().connect) as pool:
        assert pool.map(lambda wanted, connection: 1) == {}


def test_no_more_at_once_than_forks() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def work(wanted: Host, connection: Connection) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1

    with Pool([host(f"w{n}") for n in range(20)], Fleet().connect, forks=3) as pool:
        pool.map(work)
    assert most == 3


def test_leaving_closes_every_connection() -> None:
    fleet = Fleet()
    with Pool(HOSTS, fleet.connect) as pool:
        pool.map(lambda wanted, connection: 1)
        assert not any(h.closed for h in fleet.hosts.values())
    assert all(h.closed for h in fleet.hosts.values())


def test_first_ctrl_c_lets_work_end_and_starts_no_more() -> None:
    fleet, ended, go = Fleet(), list[str](), threading.Event()

    def work(wanted: Host, connection: Connection) -> None:
        if wanted.name == "w1":
            os.kill(os.getpid(), signal.SIGINT)
        assert go.wait(10)
        assert not fleet.hosts[wanted.name].closed
        ended.append(wanted.name)

    said = list[bool]()
    pool = Pool(HOSTS, fleet.connect, forks=2, on_stop=lambda: said.append(go.is_set()))
    threading.Timer(0.3, go.set).start()
    with pytest.raises(KeyboardInterrupt):
        pool.map(work)
    assert said == [False]  # at once, not when all has ended
    assert sorted(ended) == ["w0", "w1"]
    assert sorted(fleet.attempts) == ["w0", "w1"]
    assert all(h.closed for h in fleet.hosts.values())
    with pytest.raises(ConnectError, match="w4: interrupted"):
        pool.connection(HOSTS[4])


def test_second_ctrl_c_closes_at_once() -> None:
    fleet, never = Fleet(), threading.Event()

    def work(wanted: Host, connection: Connection) -> None:
        if wanted.name == "w1":
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.3)
            os.kill(os.getpid(), signal.SIGINT)
        never.wait(60)

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        Pool(HOSTS, fleet.connect, forks=2).map(work)
    assert time.monotonic() - start < 30
    assert all(h.closed for h in fleet.hosts.values())
    never.set()
