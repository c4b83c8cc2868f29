"""Downloading one file: resumable, with deadlines, shown; whether the content is right is decided by the caller's checksum."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from kbootstrap.errors import UnavailableError
from kbootstrap.model.events import Listener, Note, Progress
from kbootstrap.store.artifacts import records
from kbootstrap.store.late import httpx

CONNECT_TIMEOUT_S = 4.0
READ_TIMEOUT_S = 30.0
BACKOFF_S = 0.1  # doubled with every stall
STALLS = 4  # attempts in a row that bring no new byte
_SHOW_EVERY = 256 * 1024
_RETRY_STATUS = frozenset({408, 416, 429, 500, 502, 503, 504})


@dataclass(slots=True)
class Reach:
    """What one run learned about sites: a host that did not answer is not asked again. Hand the same value to every fetch of a run."""

    unreachable: dict[str, str] = field(default_factory=dict)  # host → reason

    def client(self) -> httpx.Client:
        """An HTTP client with this module's deadlines; proxies come from the user's environment as usual."""
        return httpx.Client(follow_redirects=True, timeout=httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S))


class _Retry(Exception):
    """The attempt ended early; trying again may help."""


def download(url: str, target: Path, *, reach: Reach, client: httpx.Client, listener: Listener, label: str) -> None:
    """Bring *url* to *target*, continuing what an earlier attempt or run left there if the server still has the same file.

    UnavailableError if the host does not answer, has no such file, or the connection keeps breaking without progress.
    """
    host = urlsplit(url).netloc
    if host in reach.unreachable:
        raise UnavailableError(f"{host} does not answer ({reach.unreachable[host]})")
    records.private_directory(target.parent)
    stalls, reason = 0, ""
    while stalls < STALLS:
        before = _size(target)
        try:
            _attempt(url, target, client=client, listener=listener, label=label)
            return
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
            reach.unreachable[host] = _text(error)
            raise UnavailableError(f"{host} does not answer ({_text(error)})") from None
        except (httpx.TransportError, _Retry) as error:
            reason = _text(error)
        stalls = 0 if _size(target) > before else stalls + 1
        listener(Note(text=f"{label}: {reason}; {_size(target)} bytes are here, continuing", warning=True))
        time.sleep(BACKOFF_S * 2**stalls)
    raise UnavailableError(f"{url}: {reason}; given up after {STALLS} attempts without progress", hint="Run the same command again to continue.")


def _attempt(url: str, target: Path, *, client: httpx.Client, listener: Listener, label: str) -> None:
    mark = target.with_name(f"{target.name}.validator")
    validator = mark.read_text(encoding="utf-8") if mark.exists() and target.exists() else ""
    offset = _size(target) if validator else 0
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers |= {"Range": f"bytes={offset}-", "If-Range": validator}
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            mark.unlink(missing_ok=True)
        if response.status_code in _RETRY_STATUS:
            raise _Retry(f"HTTP {response.status_code}")
        if response.status_code not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
            raise UnavailableError(f"{url}: HTTP {response.status_code}")
        resumed = response.status_code == httpx.codes.PARTIAL_CONTENT and response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")
        if not resumed:
            offset = 0
            mark.write_text(_validator(response), encoding="utf-8")
        _copy(response, target, offset=offset, listener=listener, label=label)
    mark.unlink(missing_ok=True)


def _copy(response: httpx.Response, target: Path, *, offset: int, listener: Listener, label: str) -> None:
    total = offset + int(response.headers.get("Content-Length", 0)) if "Content-Length" in response.headers else 0
    done = shown = offset
    with target.open("ab" if offset else "wb") as file:
        for chunk in response.iter_raw():  # as it arrives: a fixed chunk size would lose the last bytes before a break
            file.write(chunk)
            done += len(chunk)
            if done - shown >= max(total // 100, _SHOW_EVERY) and done != total:
                listener(Progress(label=label, done=done, total=total))
                shown = done
    listener(Progress(label=label, done=done, total=done))


def _validator(response: httpx.Response) -> str:
    """What If-Range may carry: a strong ETag, else the date; "" means that the file cannot be resumed."""
    etag = str(response.headers.get("ETag", ""))
    return etag if etag.startswith('"') else str(response.headers.get("Last-Modified", ""))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__
