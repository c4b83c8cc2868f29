"""The program's bytes, and how they are made."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from kbootstrap.errors import KbError

FOLDER: Final = Path(__file__).parent
SOURCE: Final = FOLDER / "kb-probe.c"
RECORD: Final = FOLDER / "kb-probe.built"  # per line: sha256, file, compiler
COMPILERS: Final = {"amd64": ("gcc",), "arm64": ("aarch64-linux-gnu-gcc", "-mno-outline-atomics")}
FLAGS: Final = (
    "-Os", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-fno-builtin", "-fno-stack-protector", "-fno-asynchronous-unwind-tables",
    "-fno-tree-loop-distribute-patterns", "-fno-pic", "-no-pie", "-nostdlib", "-static", "-s", "-Wl,--build-id=none", "-Wl,-z,noseparate-code",
)  # fmt: skip


def path(arch: str) -> Path:
    """Where the program for *arch* (as in the inventory) lies."""
    return FOLDER / f"kb-probe.{arch}"


def read(arch: str) -> bytes:
    """The program for *arch*. KbError if there is none, or the installation lacks it."""
    try:
        return path(arch).read_bytes()
    except OSError as error:
        hint = "Reinstall kbootstrap." if arch in COMPILERS else f"There is one for {', '.join(COMPILERS)}."
        raise KbError(f"no port probe for {arch}: {error.strerror}", hint=hint) from error


def build_argv(arch: str, target: Path) -> tuple[str, ...]:
    """The command that compiles it for *arch* into *target*."""
    compiler, *more = COMPILERS[arch]
    return (compiler, *FLAGS, *more, "-o", str(target), str(SOURCE))
