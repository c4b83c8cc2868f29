"""The port probe that travels in the package is what its source compiles to, and does on both architectures what its head promises."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from kbootstrap.probe import binary, talk
from kbootstrap.probe.talk import Dial, Reply

LOOPBACK = IPv4Address("127.0.0.1")
WORD = "0123456789abcdef"
QEMU = {"amd64": "qemu-x86_64-static", "arm64": "qemu-aarch64-static"}
DEADLINE_S = 60


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def version(arch: str) -> str:
    done = subprocess.run([binary.COMPILERS[arch][0], "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]


def recorded() -> dict[str, tuple[str, str]]:
    """File → (sha256, compiler)."""
    lines = [line.split("  ", 2) for line in binary.RECORD.read_text().splitlines()]
    return {name: (digest, compiler) for digest, name, compiler in lines}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The program, compiled anew for every architecture; KB_UPDATE_GOLDEN=1 puts it into the package."""
    folder = tmp_path_factory.mktemp("built")
    found = {arch: folder / f"kb-probe.{arch}" for arch in binary.COMPILERS}
    for arch, path in found.items():
        subprocess.run(binary.build_argv(arch, path), check=True)
    if os.environ.get("KB_UPDATE_GOLDEN"):
        lines = [f"{sha256(binary.SOURCE)}  {binary.SOURCE.name}  -"]
        for arch, path in found.items():
            shutil.copyfile(path, binary.path(arch))
            lines.append(f"{sha256(path)}  {path.name}  {version(arch)}")
        binary.RECORD.write_text("\n".join([*lines, ""]))
    return found


def test_the_package_has_what_its_source_compiles_to(built: dict[str, Path]) -> None:
    known = recorded()
    again = "KB_UPDATE_GOLDEN=1 pytest tests/local/test_probe_build.py"
    assert known[binary.SOURCE.name][0] == sha256(binary.SOURCE), f"the source changed since it was compiled: {again}"
    for arch, path in built.items():
        digest, compiler = known[path.name]
        assert sha256(binary.path(arch)) == digest
        if compiler == version(arch):  # another compiler makes other bytes, which the tests below judge
            assert sha256(path) == digest, again


@contextmanager
def running(arch: str, program: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The program in a folder of its own, as on a host."""
    place = folder / "place"
    place.mkdir()
    mine = place / "kb-probe"
    shutil.copyfile(program, mine)
    mine.chmod(0o700)
    native = platform.machine() == talk.MACHINES[arch]
    argv = [*([] if native else [QEMU[arch]]), str(mine), str(place), "60"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def tell(process: subprocess.Popen[bytes], text: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(text)
    process.stdin.flush()


def until(process: subprocess.Popen[bytes], end: bytes) -> list[bytes]:
    """What it says up to the line *end*."""
    timer = threading.Timer(DEADLINE_S, process.kill)
    timer.start()
    found: list[bytes] = []
    try:
        for line in process.stdout or ():
            if line.rstrip(b"\n") == end:
                return found
            found.append(line.rstrip(b"\n"))
    finally:
        timer.cancel()
    raise AssertionError(f"no «{end.decode()}» after {found}")


def replies(process: subprocess.Popen[bytes], dials: list[Dial]) -> dict[int, Reply]:
    threading.Thread(target=tell, args=(process, talk.dials(dials)), daemon=True).start()  # it answers while it is still told
    found = [talk.reply(line) for line in until(process, talk.DONE)]
    return dict(each for each in found if each is not None)


def dial(number: int, protocol: str, port: int, *, want: int = 1) -> Dial:
    return Dial(id=number, protocol=protocol, address=LOOPBACK, port=port, want=want, source=LOOPBACK)


def free(count: int) -> list[int]:
    """Ports that are free for TCP and UDP."""
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in held]
    finally:
        for each in held:
            each.close()


@pytest.mark.parametrize("arch", binary.COMPILERS)
@pytest.mark.parametrize("kind", ["packaged", "built"])
def test_it_listens_and_dials(arch: str, kind: str, built: dict[str, Path], tmp_path: Path) -> None:
    mine, nobodys = free(2)
    with (
        running(arch, binary.path(arch) if kind == "packaged" else built[arch], tmp_path) as process,
        socket.create_server(("127.0.0.1", 0)) as daemon,
    ):
        theirs = daemon.getsockname()[1]
        tell(process, talk.listens(WORD, "m1", LOOPBACK, [("tcp", mine), ("udp", mine), ("tcp", theirs)]))
        said = until(process, talk.READY)
        hello = talk.hello([*said, talk.READY])
        assert (hello.ports, hello.unable) == ({("tcp", mine): 0, ("udp", mine): 0, ("tcp", theirs): 98}, "")
        assert list(tmp_path.iterdir()) == [], "it removed itself"
        found = replies(
            process,
            [dial(1, "tcp", mine), dial(2, "udp", mine), dial(3, "tcp", nobodys), dial(4, "udp", nobodys), dial(5, "tcp", theirs, want=0)],
        )
        assert {number: (r.what, r.answer) for number, r in found.items() if r.what == "open"} == {
            1: ("open", f"{WORD} m1"),
            2: ("open", f"{WORD} m1"),
            5: ("open", ""),
        }
        assert (found[3].errno, found[3].icmp) == (111, None), "a reset"
        assert (found[4].errno, found[4].icmp, found[4].offender) == (111, (3, 3), LOOPBACK), "ICMP port unreachable"
        again = replies(process, [dial(6, "udp", mine)])
        assert again[6].answer == f"{WORD} m1", "a second round, with the same listeners"
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(DEADLINE_S) == 0, "it ends with its input"


def test_silence_and_strangers(built: dict[str, Path], tmp_path: Path) -> None:
    arch = next(arch for arch, machine in talk.MACHINES.items() if machine == platform.machine())
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with running(arch, built[arch], tmp_path) as process, silent, socket.create_server(("127.0.0.1", 0)) as mute:
        silent.bind(("127.0.0.1", 0))
        (mine,) = free(1)
        tell(process, talk.listens(WORD, "m1", LOOPBACK, [("udp", mine)]))
        until(process, talk.READY)
        found = replies(process, [dial(1, "udp", silent.getsockname()[1]), dial(2, "tcp", mute.getsockname()[1])])
        assert (found[1].what, found[2].what, found[2].answer) == ("silent", "open", "")
        assert len(silent.recvfrom(100)[0]) < 100
        received = 1
        silent.setblocking(False)
        try:
            while silent.recv(100):
                received += 1
        except BlockingIOError:
            assert received > 2, "a datagram that is lost is sent again"
        silent.sendto(b"what is your name?", ("127.0.0.1", mine))
        silent.settimeout(0.3)
        with pytest.raises(TimeoutError):
            silent.recv(100)  # only who knows the word gets an answer


def test_ten_thousand_dials_at_once(built: dict[str, Path], tmp_path: Path) -> None:
    """What a master of a hundred hosts meets, and more."""
    arch = next(arch for arch, machine in talk.MACHINES.items() if machine == platform.machine())
    numbers = free(8)
    with running(arch, built[arch], tmp_path) as process:
        tell(process, talk.listens(WORD, "m1", LOOPBACK, [(protocol, number) for number in numbers for protocol in ("tcp", "udp")]))
        until(process, talk.READY)
        asked = [dial(n, ("tcp", "udp")[n % 2], numbers[n % 8]) for n in range(10_000)]
        found = replies(process, asked)
    assert len(found) == len(asked)
    assert {(r.what, r.answer) for r in found.values()} == {("open", f"{WORD} m1")}
