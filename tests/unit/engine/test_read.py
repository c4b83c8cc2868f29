"""One read of a host: what its answers become, and what a failed probe is."""

from __future__ import annotations

from pathlib import Path

import pytest

from kbootstrap.engine import gather
from kbootstrap.errors import CommandError
from kbootstrap.model.desired import Desired, Wanted
from kbootstrap.model.resource import Binary, Blob, Directory, File
from kbootstrap.store import clock
from kbootstrap.testing.fake_host import Answer, FakeHost, reading

BLOB = Blob(sha256="a" * 64, size=1000, path=Path("x"))
OTHER = Blob(sha256="b" * 64, size=5, path=Path("y"))
TOOLS = (Binary(name="/bin/x", blob=BLOB), Binary(name="/bin/y", blob=OTHER))
WANTED = Wanted(resources=(Directory(name="/d"), File(name="/etc/x", content=b""), *TOOLS))
DESIRED = Desired(hosts={"m1": {"HOSTS": WANTED}})


def test_every_kind_is_asked_in_one_program() -> None:
    host = FakeHost(scripts=[reading({"directory": (0, b"directory|755|root:root|/d\n"), "ledger": (0, b'{"a": 1}')})])
    seen = gather.read(host, DESIRED)
    assert len(host.programs) == 1
    assert seen.kinds["directory"]["/d"].mode == 0o755
    assert seen.kinds["file"] == {}
    assert seen.ledger == '{"a": 1}'


def test_a_probe_that_fails_is_an_error_with_its_name_and_words() -> None:
    host = FakeHost(scripts=[reading({"file": (2, b"sh: stat: not found\n")})])
    with pytest.raises(CommandError, match=r"the probe of file failed \(2\).*stat: not found") as caught:
        gather.read(host, DESIRED)
    assert caught.value.host == "m1"


def test_a_read_that_ends_early_is_an_error() -> None:
    with pytest.raises(CommandError, match=r"the read ended early \(137\): Killed"):
        gather.read(FakeHost(scripts=[lambda program, payload: Answer(exit_code=137, stderr="Killed\n")]), DESIRED)


def test_a_blob_counts_only_whole() -> None:
    listed = f"{'f' * 64}  {BLOB.sha256}\n{OTHER.sha256}  {OTHER.sha256}\n"
    seen = gather.read(FakeHost(scripts=[reading({"blobs": (0, listed.encode())})]), DESIRED)
    assert seen.kinds["blob"] == {OTHER.sha256: True}


def test_the_hosts_clock_is_compared_with_ours_when_it_was_read_not_when_all_was(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 2.0, 60.0])  # begun, the facts are here, and the hashing of every binary
    monkeypatch.setattr(clock, "monotonic_s", lambda: next(now))
    monkeypatch.setattr(clock, "epoch_s", lambda: 1000.0)
    host = FakeHost(scripts=[reading({"facts": (0, b"clock=1001.0\n")})])
    seen = gather.read(host, DESIRED)
    assert seen.facts.clock_s == 0.0
    assert seen.seconds == 60.0


def test_deep_believes_no_record() -> None:
    texts = {deep: dict(gather.sections(DESIRED, "m1", deep=deep))["binary"] for deep in (True, False)}
    assert "/dev/null" in texts[True].splitlines()[0]
    assert "/dev/null" not in texts[False].splitlines()[0]
