"""``python -m bench.clients.openssh <order>``: a process of ssh per host."""

from __future__ import annotations

import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from bench.clients.order import Order

FORKS = 50


def ssh(order: Order, port: int, command: str, payload: bytes = b"") -> str:
    options = ("-F", "none", "-o", f"UserKnownHostsFile={order.raw['known_hosts']}", "-o", "BatchMode=yes", "-c", "aes128-gcm@openssh.com")
    argv = ["ssh", *options, "-i", order.raw["key"], "-p", str(port), "root@127.0.0.1", command]
    return subprocess.run(argv, input=payload, stdout=subprocess.PIPE, check=True).stdout.decode()


def host(order: Order, name: str, port: int, big: tuple[str, int, bytes, str] | None) -> str:
    if order.raw["facts"]:
        return "".join(f"{name} {line}\n" for line in ssh(order, port, order.question()).splitlines())
    mark = shlex.quote(f"{big[0]}.{big[3][:16]}") if big else ""
    asked = f"; [ -e {mark} ] && echo there || :" if big else ""
    if ssh(order, port, f"tar -xf - -C / --no-same-owner{asked}", order.tar(name)).strip() != "there" and big:
        place = shlex.quote(big[0])
        ssh(order, port, f"cat > {place}.new && chmod {big[1]:o} {place}.new && mv {place}.new {place} && : > {mark}", big[2])
    return ""


def main() -> None:
    order = Order.read(sys.argv[1])
    big = order.binary() if order.raw["program"] else None
    with ThreadPoolExecutor(FORKS) as pool:
        for text in pool.map(lambda item: host(order, item[0], item[1], big), order.hosts.items()):
            sys.stdout.write(text)


if __name__ == "__main__":
    main()
