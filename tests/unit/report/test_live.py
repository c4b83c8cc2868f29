"""What happens, line by line: off a terminal nothing but lines, and markup in a name is no markup."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

from kbootstrap.model import events
from kbootstrap.report.live import Live


def shown(*happened: events.Event) -> list[str]:
    out = io.StringIO()
    with Live(out, terminal=False) as live:
        for event in happened:
            live(event)
    return [line.rstrip() for line in out.getvalue().splitlines() if line.strip()]


def test_notes_and_stages_are_lines() -> None:
    lines = shown(
        events.Note(text="read 5 hosts in 0.4 s"),
        events.Note(host="w1", text="its clock is [bold]6 s[/bold] ahead", warning=True),
        events.StageStarted(stage="ETCD"),
        events.StageFinished(stage="ETCD", seconds=1.234),
    )
    assert [" ".join(line.split()) for line in lines] == ["· read 5 hosts in 0.4 s", "! w1: its clock is [bold]6 s[/bold] ahead", "✓ ETCD 1.2 s"]


def test_a_change_is_a_line_only_if_it_failed() -> None:
    ended = [events.ChangeFinished(host="m1", change_id=f"/etc/{code}", exit_code=code, output="long", seconds=1) for code in (0, 3)]
    assert shown(events.ChangeStarted(host="m1", change_id="/a"), *ended) == ["✗ m1: /etc/3 failed (3)"]


def test_many_threads_may_report() -> None:
    out = io.StringIO()
    with Live(out, terminal=True) as live, ThreadPoolExecutor(8) as pool:
        tuple(pool.map(lambda n: live(events.Progress(host=f"h{n % 5}", label="upload", done=n, total=100)), range(101)))
        live(events.Note(text="done"))
    assert "done" in out.getvalue()
