"""Bytes flow early: one stream per host brings every blob that its plan needs, in the order of the stages, while the first stages run.

A blob is hashed again on the host before it counts; a stage that needs it waits for just that one. How each travels is decided when its turn
comes, by what the host can unpack and what its line was seen to carry, and said in a line before its bytes.
"""

from __future__ import annotations

import mmap
import threading
from collections.abc import Collection, Iterator, Sequence

from kbootstrap.catalog import paths
from kbootstrap.engine.timing import span
from kbootstrap.errors import ApplyError, ArtifactError
from kbootstrap.model.events import Listener, Progress
from kbootstrap.model.resource import Blob
from kbootstrap.remote import fuse
from kbootstrap.remote.connection import Connection
from kbootstrap.store import clock, entropy, packing
from kbootstrap.store.packing import Form

CHUNK = 1 << 20
AGAIN = "Run the same command again; it goes on where it stopped."
KNOWN_BYTES = 8 << 20  # so much must have gone before its speed means anything: less fits into buffers on the way
SLOWEST_BYTES_PER_S = 250_000  # the deadline of a push: a line slower than 2 Mbit/s is an error, not patience


class Push:
    """The blobs on their way to one host, which has the programs *unpacks*. ``wait(sha256)`` returns once it lies verified in the store, or raises
    why it does not."""

    def __init__(self, connection: Connection, blobs: Sequence[Blob], listener: Listener, *, unpacks: Collection[str] = ()) -> None:
        self._connection = connection
        self._blobs = blobs
        self._listener = listener
        self._unpacks = unpacks
        self._forms: dict[str, Form] = {}
        self._sent_bytes, self._sent_s = 0, 0.0
        self._arrived = {blob.sha256: threading.Event() for blob in blobs}
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=f"push-{connection.host}", daemon=True)

    def start(self) -> Push:
        """Begin sending; returns at once."""
        if self._blobs:
            self._thread.start()
        return self

    def wait(self, sha256: str) -> None:
        """Block until the blob is there. ApplyError or ConnectError if it will not come."""
        event = self._arrived.get(sha256)
        if event is None:
            return
        event.wait()
        if self._error is not None:
            raise self._error

    def join(self) -> None:
        """Wait for the stream's end."""
        if self._blobs:
            self._thread.join()

    def _run(self) -> None:
        try:
            with span(self._listener, "upload", self._connection.host):
                self._send()
        except Exception as error:  # also a bug: whoever waits must learn of it, on a thread where it is seen
            self._error = error
        finally:
            for event in self._arrived.values():
                event.set()

    def _send(self) -> None:
        marker = entropy.marker()
        total = sum(blob.size for blob in self._blobs)
        deadline_s = 60 + total / SLOWEST_BYTES_PER_S
        steps = [(blob.sha256, _store(blob), deadline_s) for blob in self._blobs]
        program = f"mkdir -p {paths.BLOBS}; chmod 0700 {paths.STATE}; rm -f {paths.BLOBS}/.part-*\n" + fuse.change_program(steps, marker)
        running = self._connection.run(program, payload=self._payload(total), deadline_s=deadline_s + 60)
        try:
            for event in fuse.follow(running.lines(), marker):
                if isinstance(event, fuse.Ended):
                    self._ended(event)
            done = running.finish()
        finally:
            running.close()
        if not all(event.is_set() for event in self._arrived.values()):
            raise ApplyError(f"upload ended early: {done.stderr.strip()[-300:]}", host=self._connection.host, hint=AGAIN)

    def _ended(self, event: fuse.Ended) -> None:
        if event.exit_code != 0:
            for blob in self._blobs:
                if blob.sha256 == event.id:
                    packing.distrust(blob, self._forms.get(event.id, Form.RAW))
            text = event.output.decode("utf-8", "replace").strip()
            raise ApplyError(f"upload of {event.id[:12]} failed: {text}", host=self._connection.host, hint=AGAIN)
        self._arrived[event.id].set()

    def _payload(self, total: int) -> Iterator[memoryview]:
        done = 0
        for blob in self._blobs:
            form = self._forms[blob.sha256] = packing.form(blob, self._unpacks, bytes_per_s=self._speed())
            view = _view(blob, form)
            yield memoryview(f"{form} {len(view)}\n".encode())
            for start in range(0, len(view), CHUNK):
                part = view[start : start + CHUNK]
                began = clock.monotonic_s()
                yield part
                self._sent_s += clock.monotonic_s() - began
                self._sent_bytes += len(part)
                now = done + blob.size * (start + len(part)) // len(view)
                self._listener(Progress(host=self._connection.host, label="upload", done=now, total=total))
            done += blob.size

    def _speed(self) -> float:
        """Bytes per second of the line so far, 0 while that is not known."""
        return self._sent_bytes / self._sent_s if self._sent_bytes >= KNOWN_BYTES and self._sent_s else 0.0


def _view(blob: Blob, form: Form) -> memoryview:
    """The bytes that travel; the mapping is closed when the last slice is gone. ArtifactError if the blob's file is not there or not what it was."""
    try:
        if (size := blob.path.stat().st_size) != blob.size:
            raise ArtifactError(f"{blob.path} has {size} bytes, had {blob.size}", hint="invoke artifacts.fetch")
        if not size:
            return memoryview(b"")
        path = blob.path if form is Form.RAW else packing.packed(blob, form)
        with path.open("rb") as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{blob.path} cannot be read: {error}", hint="invoke artifacts.fetch") from error


def _store(blob: Blob) -> str:
    """Takes a line «form size» and so many bytes from its input. What a broken pipe or a wrong form gives has another digest.

    openssl hashes 60 MB in 0.05 CPU s where the processor helps, sha256sum in 0.2; whose digest it is makes no difference.
    """
    part, final = f"{paths.BLOBS}/.part-{blob.sha256}", f"{paths.BLOBS}/{blob.sha256}"
    return (
        "read -r form size\n"
        f"""case "$form" in raw) head -c "$size";; zstd|gzip) head -c "$size" | "$form" -dcq;; esac > {part}\n"""
        f"""sum=$(openssl dgst -sha256 -r {part} 2>/dev/null) || sum=$(sha256sum {part})\n"""
        f"""[ "${{sum%% *}}" = {blob.sha256} ] || {{ echo 'sha256 differs after upload'; rm -f {part}; exit 1; }}\n"""
        f"mv -f {part} {final}\n"
    )
