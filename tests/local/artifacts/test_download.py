"""Downloads resume, end in time, and never mix two versions of a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from kbootstrap.errors import UnavailableError
from kbootstrap.model.events import Progress
from kbootstrap.store.artifacts import download as module
from kbootstrap.store.artifacts.download import Reach

from .conftest import Heard, Site

CONTENT = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKOFF_S", 0.0)


def get(site: Site, target: Path, heard: Heard, reach: Reach | None = None) -> None:
    reach = reach or Reach()
    with reach.client() as client:
        module.download(f"{site.address}/file", target, reach=reach, client=client, listener=heard, label="file")


def test_brings_the_content_and_shows_progress(site: Site, tmp_path: Path, heard: Heard) -> None:
    site.files["/file"] = CONTENT
    get(site, tmp_path / "file", heard)
    assert (tmp_path / "file").read_bytes() == CONTENT
    shown = [event for event in heard.events if isinstance(event, Progress)]
    assert (shown[-1].done, shown[-1].total) == (len(CONTENT), len(CONTENT))
    assert [event.done for event in shown] == sorted(event.done for event in shown)
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_continues_after_dropped_connections_where_they_broke(site: Site, tmp_path: Path, heard: Heard) -> None:
    site.files["/file"], site.cuts["/file"] = CONTENT, [300_000, 400_000]
    get(site, tmp_path / "file", heard)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert [wanted for _, wanted in site.requests] == ["", "bytes=300000-", "bytes=700000-"]
    assert any("300000 bytes are here" in note for note in heard.notes)


def test_a_later_run_continues_too(site: Site, tmp_path: Path, heard: Heard) -> None:
    site.files["/file"], site.cuts["/file"] = CONTENT, [300_000, 0, 0, 0, 0]
    with pytest.raises(UnavailableError, match="without progress"):
        get(site, tmp_path / "file", heard)
    get(site, tmp_path / "file", heard)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert site.requests[-1][1] == "bytes=300000-"


def test_starts_anew_when_the_file_on_the_server_changed(site: Site, tmp_path: Path, heard: Heard) -> None:
    site.files["/file"], site.cuts["/file"] = CONTENT, [300_000, 0, 0, 0, 0]
    with pytest.raises(UnavailableError):
        get(site, tmp_path / "file", heard)
    site.files["/file"], site.etag = CONTENT[::-1], '"two"'
    get(site, tmp_path / "file", heard)
    assert (tmp_path / "file").read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("change", [{"ranges": False}, {"etag": ""}, {"etag": 'W/"weak"'}], ids=["no ranges", "no validator", "weak validator"])
def test_starts_anew_with_servers_that_cannot_continue(site: Site, tmp_path: Path, heard: Heard, change: dict[str, object]) -> None:
    for name, value in change.items():
        setattr(site, name, value)
    site.files["/file"], site.cuts["/file"] = CONTENT, [300_000]
    get(site, tmp_path / "file", heard)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_missing_file_is_told_at_once(site: Site, tmp_path: Path, heard: Heard) -> None:
    with pytest.raises(UnavailableError, match="HTTP 404"):
        get(site, tmp_path / "file", heard)
    assert len(site.requests) == 1


def test_a_site_that_does_not_answer_is_asked_once_per_run(site: Site, tmp_path: Path, heard: Heard) -> None:
    reach = Reach()
    nobody = Site(address="http://127.0.0.1:9")
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:9 does not answer"):
        get(nobody, tmp_path / "file", heard, reach)
    reach.unreachable[site.address.removeprefix("http://")] = reach.unreachable["127.0.0.1:9"]
    with pytest.raises(UnavailableError, match="does not answer"):
        get(site, tmp_path / "file", heard, reach)
    assert site.requests == []
