"""Fabric's ThreadingGroup; runs in the peers' venv."""

from __future__ import annotations

import hashlib
import io
import shlex
import sys
from typing import Any

import fabric
import paramiko
from invoke.util import ExceptionHandlingThread

from bench.clients.order import Order


def sums(connection: Any, paths: list[str]) -> dict[str, str]:
    if not paths:
        return {}
    found = connection.run(f"sha256sum {shlex.join(paths)} 2>/dev/null || true", hide=True).stdout
    return {path: digest for digest, path in (line.split("  ", 1) for line in found.splitlines())}


def work(connection: Any, order: Order, name: str, big: tuple[str, int, bytes, str] | None) -> str:
    if order.raw["facts"]:
        answer = connection.run(order.question(), hide=True).stdout
        return "".join(f"{name} {line}\n" for line in answer.splitlines())
    files = order.files(name) + ([(big[0], big[1], big[2])] if big else [])
    digests = {path: hashlib.sha256(content).hexdigest() for path, _, content in files}
    there = sums(connection, list(digests))
    if differing := [file for file in files if there.get(file[0]) != digests[file[0]]]:
        made = "; ".join(f"mkdir -p {shlex.quote(path)}; chmod {mode:o} {shlex.quote(path)}" for path, mode in order.raw["directories"])
        connection.run(made, hide=True)
        for path, _, content in differing:
            connection.put(io.BytesIO(content), path)
        connection.run("; ".join(f"chmod {mode:o} {shlex.quote(path)}" for path, mode, _ in differing), hide=True)
    return ""


class Group(fabric.ThreadingGroup):  # type: ignore[misc]  # of the peers' venv
    """Threads over our own function, as Fabric does over its own."""

    def each(self, order: Order, big: tuple[str, int, bytes, str] | None) -> list[str]:
        threads, texts = [], dict[str, str]()

        def each(connection: Any, name: str) -> None:
            texts[name] = work(connection, order, name, big)

        for name, connection in zip(order.hosts, self, strict=True):
            threads.append(ExceptionHandlingThread(target=each, kwargs={"connection": connection, "name": name}))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
            if wrapper := thread.exception():
                raise wrapper.value
        return list(texts.values())


def main() -> None:
    order = Order.read(sys.argv[1])
    key = {"key_filename": order.raw["key"], "allow_agent": False, "look_for_keys": False}
    hosts = [f"root@127.0.0.1:{port}" for port in order.hosts.values()]
    config = fabric.Config(overrides={"load_ssh_configs": False})
    group = Group(*hosts, connect_kwargs=key, config=config)
    for connection in group:
        connection.client.load_host_keys(order.raw["known_hosts"])
        connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())
    big = order.binary() if order.raw["program"] else None
    for text in group.each(order, big):
        sys.stdout.write(text)
    group.close()


if __name__ == "__main__":
    main()
