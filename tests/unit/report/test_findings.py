"""Findings as text and as data: what stops a run first, hosts that share one on one line, a waiver with its reason."""

from __future__ import annotations

from dataclasses import replace

from kbootstrap.model.finding import Finding
from kbootstrap.report import data, text

SWAP = Finding(check="swap", host="m1", what="swaps", hint="Set host: {swap: off}.", evidence="/proc/swaps is not empty", why="kubelet refuses")
SLOW = Finding(check="disk-sync", host="m2", what="is slow", hint="Use an SSD.", warning=True, why="etcd waits")


def test_the_worst_first_and_hosts_together() -> None:
    assert list(text.findings([SLOW, SWAP, replace(SWAP, host="w1")])) == [
        "!! swap  m1,w1: swaps",
        "     seen  /proc/swaps is not empty",
        "     why   kubelet refuses",
        "     fix   Set host: {swap: off}.",
        " ! disk-sync  m2: is slow",
        "     why   etcd waits",
        "     fix   Use an SSD.",
        "2 refused, 1 warning",
    ]


def test_a_waived_finding_shows_its_reason_instead_of_a_fix() -> None:
    lines = list(text.findings([replace(SWAP, waived="tests")]))
    assert lines[0].startswith(" · swap")
    assert lines[-2:] == ["     waived: tests", "1 waived"]


def test_nothing_found_is_said() -> None:
    assert list(text.findings([])) == ["Nothing found: every host is fit."]


def test_as_data() -> None:
    assert data.findings([replace(SWAP, waived="tests")]) == [
        {
            "check": "swap",
            "host": "m1",
            "severity": "waived",
            "what": "swaps",
            "evidence": "/proc/swaps is not empty",
            "why": "kubelet refuses",
            "fix": "Set host: {swap: off}.",
            "waived": "tests",
        }
    ]
