"""The lines on the probe's standard streams."""

from __future__ import annotations

import shutil
import subprocess
from ipaddress import IPv4Address

import pytest

from kbootstrap.model.host import ProxyMode
from kbootstrap.probe import binary, talk
from kbootstrap.probe.talk import Dial, Reply


def test_what_a_host_says_before_any_dial() -> None:
    lines = b"service tcp 30080\ntunnel 1450\nlisten tcp 6443 98\nlisten udp 8472 0\nready\nmore".split(b"\n")
    said = talk.hello(lines)
    assert said.ports == {("tcp", 6443): 98, ("udp", 8472): 0}
    assert (set(said.services), said.tunnel, said.unable) == ({("tcp", 30080)}, 1450, "")
    assert said.listening("udp", 8472)
    assert not said.listening("tcp", 6443)
    assert not said.listening("udp", 53)


def test_a_host_where_no_program_runs() -> None:
    assert talk.hello([b"unable no folder of /run lets a program run (noexec?)"]).unable == "no folder of /run lets a program run (noexec?)"
    assert talk.hello([]).unable == "the probe ended at once"


def test_what_is_asked() -> None:
    one = Dial(id=7, protocol="tcp", address=IPv4Address("10.0.0.2"), port=6443, want=1)
    frame = Dial(id=8, protocol="vxlan", address=IPv4Address("10.0.0.3"), port=8472, want=1450, source=IPv4Address("10.0.0.1"), vni=1)
    assert talk.dials([one, frame]) == b"dial 7 tcp 10.0.0.2 6443 0.0.0.0 1 0\ndial 8 vxlan 10.0.0.3 8472 10.0.0.1 1450 1\ngo\n"
    assert talk.listens("word", "m1", IPv4Address("10.0.0.1"), [("udp", 8472)]) == b"name word m1\nlisten udp 10.0.0.1 8472\nready\n"


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (b"dial 3 open 0 255 255 0.0.0.0 1 word m2", (3, Reply(what="open", elapsed_ms=1, answer="word m2"))),
        (b"dial 4 open 0 255 255 0.0.0.0 0 ", (4, Reply(what="open"))),
        (b"dial 5 error 113 3 13 10.0.0.9 12 ", (5, Reply(what="error", errno=113, icmp=(3, 13), offender=IPv4Address("10.0.0.9"), elapsed_ms=12))),
        (b"dial 6 silent 0 255 255 0.0.0.0 3401 ", (6, Reply(what="silent", elapsed_ms=3401))),
        (b"done", None),
        (b"seen 1 2", None),
    ],
)
def test_what_came_of_it(line: bytes, wanted: tuple[int, Reply] | None) -> None:
    assert talk.reply(line) == wanted


def test_what_came_out_of_a_tunnel() -> None:
    assert talk.seen(b"seen 12 1450") == (12, 1450)
    assert talk.seen(b"dial 3 open 0 255 255 0.0.0.0 1 word m2") is None


@pytest.mark.parametrize("proxy", ProxyMode)
@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_the_shell_text_parses(proxy: ProxyMode, shell: str) -> None:
    if not shutil.which(shell):
        pytest.fail(f"{shell} is part of every Debian")
    text = talk.program(arch="amd64", size=6000, proxy=proxy, tunnel="kb-vxlan")
    done = subprocess.run([shell, "-n"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_there_is_a_small_program_for_each_architecture() -> None:
    assert binary.COMPILERS.keys() == talk.MACHINES.keys()
    for arch in binary.COMPILERS:
        code = binary.read(arch)
        assert code[:4] == b"\x7fELF"
        assert len(code) < 16 * 1024
