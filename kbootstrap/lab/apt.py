"""The machine's own apt sources, read so that the base image comes from the mirror that this machine uses anyway."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One archive of packages: where, which suites, and the keyring that signs it ("" if apt's default)."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    keyring: str = ""


def one_line(text: str) -> Iterator[Source]:
    """Sources of a ``.list`` file: ``deb [options] uri suite component…``."""
    for line in text.splitlines():
        if found := _ONE_LINE.fullmatch(line.partition("#")[0].strip()):
            options = dict(option.partition("=")[::2] for option in (found["options"] or "").split())
            yield Source(
                uri=found["uri"], suites=(found["suite"],), components=tuple(found["components"].split()), keyring=options.get("signed-by", "")
            )


def deb822(text: str) -> Iterator[Source]:
    """Sources of a ``.sources`` file: stanzas of ``Field: value`` with continuation lines. An embedded key counts as no keyring file."""
    for stanza in re.split(r"\n\s*\n", re.sub(r"(?m)^#.*\n?", "", text)):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line[:1].isspace():
                fields[name] = f"{fields.get(name, '')} {line.strip()}"
            elif ":" in line:
                name, value = line.split(":", 1)
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() not in ("no", "false"):
            keyring = fields.get("signed-by", "")
            for uri in fields.get("uris", "").split():
                yield Source(
                    uri=uri,
                    suites=tuple(fields.get("suites", "").split()),
                    components=tuple(fields.get("components", "").split()),
                    keyring=keyring if keyring.startswith("/") else "",
                )


def sources(apt: Path = Path("/etc/apt")) -> Iterator[Source]:
    """Every enabled archive of this machine."""
    for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]:
        if path.suffix == ".list" and path.is_file():
            yield from one_line(path.read_text())
        elif path.suffix == ".sources" and path.is_file():
            yield from deb822(path.read_text())


def mirror(found: Iterator[Source], suite: str) -> Source | None:
    """The archive to bootstrap *suite* from: one that lists it, else one that lists another Debian suite with ``main``."""
    usable = [s for s in found if "main" in s.components and s.uri.startswith(("http://", "https://", "file:"))]
    for wanted in ({suite}, {"bullseye", "bookworm", "trixie", "forky", "sid", "stable", "testing", "unstable"}):
        for source in usable:
            if wanted & set(source.suites):
                return source
    return None
