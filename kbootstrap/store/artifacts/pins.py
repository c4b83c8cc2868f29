"""Pins: checksums that the catalog lacks, taken once from the projects' own sites and kept in ``inventory/<cluster>/pins.yml``.

That is trust on first use: whoever controlled the site at that moment controls the binaries. From then on a changed file is noticed.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from kbootstrap.catalog.releases import Checksum, Download, downloads
from kbootstrap.errors import ArtifactError, ChecksumError, InventoryError, UnavailableError
from kbootstrap.store.artifacts.download import Reach
from kbootstrap.store.artifacts.files import Pins
from kbootstrap.store.artifacts.records import write_atomically
from kbootstrap.store.late import httpx

_HEADER = """\
# Checksums trusted on first use: taken over TLS from the projects' own sites where the catalog has none.
# Written by `invoke artifacts.pin`; remove a line to take it anew. Compare them with what you know before you rely on them.
"""


def load(path: Path) -> dict[str, Checksum]:
    """The pins of a cluster (``inventory/<cluster>/pins.yml``); none if the file is not there. InventoryError if it cannot be read."""
    if not path.exists():
        return {}
    try:
        rows = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return {str(url): Checksum.parse(str(text)) for url, text in rows.items()}
    except (yaml.YAMLError, AttributeError, ArtifactError) as error:
        raise InventoryError(f"{path}: {error}", hint="Expected lines «address: sha256:…». Remove the file and run artifacts.pin again.") from None


def save(path: Path, pins: Pins) -> None:
    """Write the pins of a cluster, sorted by address."""
    rows = "".join(f"{url}: {checksum}\n" for url, checksum in sorted(pins.items()))
    write_atomically(path, _HEADER + rows)


def take(component: str, version: str, arches: Iterable[str], *, known: Pins, reach: Reach, base: str = "") -> dict[str, Checksum]:
    """What the official sites publish for the files of *component* that the catalog has no checksum for; address → checksum.

    *base*: a mirror's address in place of the official sites; like them it must speak https, unless it is this machine. UnavailableError
    if a site does not answer; ChecksumError if it now says something else than a pin in *known*.
    """
    taken: dict[str, Checksum] = {}
    with reach.client() as client:
        for file in downloads():
            for arch in arches if file.component == component and file.sums_pattern else ():
                if (version, arch) in file.checksums:
                    continue
                url = file.url(version, arch)
                taken[url] = _published(client, file, version, arch, base)
                if known.get(url, taken[url]) != taken[url]:
                    raise ChecksumError(
                        f"{url}: pinned as {known[url]}, published now as {taken[url]}",
                        hint="Published files do not change. If you trust the new one, remove its line from pins.yml and pin again.",
                    )
    return taken


def _published(client: httpx.Client, file: Download, version: str, arch: str, base: str) -> Checksum:
    official = file.sums_url(version, arch)
    address = f"{base.rstrip('/')}{urlsplit(official).path}" if base else official
    parts = urlsplit(address)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise ArtifactError(f"{address}: checksums are taken over https only", hint="Give the mirror's https address, or leave --mirror out.")
    try:
        response = client.get(address)
    except httpx.HTTPError as error:
        raise UnavailableError(f"{parts.netloc} does not answer ({error})", hint="Pin on a machine that reaches it, and copy pins.yml.") from None
    if response.status_code != httpx.codes.OK:
        raise UnavailableError(f"{address}: HTTP {response.status_code}", hint=f"Is {version} a version of {file.component}?")
    return _parse(response.text, address, file.path(version, arch).rpartition("/")[2])


def _parse(text: str, address: str, name: str) -> Checksum:
    """Either a lone checksum, or lines ``<checksum>  <file name>`` of which one is ours."""
    for line in text.splitlines():
        words = line.split()
        if words and (len(words) == 1 or words[1].lstrip("*").rpartition("/")[2] == name):
            return Checksum.parse(f"sha256:{words[0]}")
    raise ArtifactError(f"{address}: names no checksum of {name}", hint="Was a proxy's or login page answered in its place?")
