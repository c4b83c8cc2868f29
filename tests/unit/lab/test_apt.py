"""The machine's apt sources, in both formats."""

from __future__ import annotations

from pathlib import Path

import pytest

from kbootstrap.lab import apt

DEB822 = """\
# The archive
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
# a comment inside
Components: main
 contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb-src
URIs: http://sources.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://inline.example/x
Suites: stable
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
"""


def test_deb822_stanzas_with_continued_fields_and_comments() -> None:
    archive, inline = apt.deb822(DEB822)
    assert archive == apt.Source(
        uri="http://mirror.example/debian",
        suites=("bookworm", "bookworm-updates"),
        components=("main", "contrib"),
        keyring="/usr/share/keyrings/debian-archive-keyring.gpg",
    )
    assert (inline.uri, inline.keyring) == ("http://inline.example/x", "")


@pytest.mark.parametrize(
    ("line", "want"),
    [
        ("deb http://a.example/debian bookworm main", apt.Source(uri="http://a.example/debian", suites=("bookworm",), components=("main",))),
        (
            "deb [arch=amd64 signed-by=/k.gpg]  http://a.example/debian bookworm main contrib # here",
            apt.Source(uri="http://a.example/debian", suites=("bookworm",), components=("main", "contrib"), keyring="/k.gpg"),
        ),
        ("# deb http://a.example/debian bookworm main", None),
        ("deb-src http://a.example/debian bookworm main", None),
        ("deb http://a.example/flat ./", apt.Source(uri="http://a.example/flat", suites=("./",), components=())),
    ],
)
def test_one_line_format(line: str, want: apt.Source | None) -> None:
    assert list(apt.one_line(line)) == ([want] if want else [])


def test_files_of_both_formats_are_read_and_others_are_not(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("deb http://one.example/debian bookworm main\n")
    (tmp_path / "sources.list.d/two.sources").write_text("Types: deb\nURIs: http://two.example/debian\nSuites: bookworm\nComponents: main\n")
    (tmp_path / "sources.list.d/three.list.disabled").write_text("deb http://three.example/debian bookworm main\n")
    assert [source.uri for source in apt.sources(tmp_path)] == ["http://one.example/debian", "http://two.example/debian"]


def source(uri: str, *suites: str, components: tuple[str, ...] = ("main",)) -> apt.Source:
    return apt.Source(uri=uri, suites=suites, components=components)


def test_the_mirror_is_the_archive_of_the_suite_itself() -> None:
    found = [
        source("http://tools.example", "bookworm", components=("tools",)),
        source("http://b.example", "trixie"),
        source("http://c.example", "bookworm"),
    ]
    chosen = apt.mirror(iter(found), "bookworm")
    assert chosen is not None
    assert chosen.uri == "http://c.example"


def test_another_debian_s_archive_has_the_suite_too_and_a_foreign_one_has_not() -> None:
    debian = apt.mirror(iter([source("http://u.example", "noble"), source("http://d.example", "trixie")]), "bookworm")
    assert debian is not None
    assert debian.uri == "http://d.example"
    assert apt.mirror(iter([source("http://u.example", "noble")]), "bookworm") is None
