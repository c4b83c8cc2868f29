"""The survey's text in real shells, on this machine: it ends well, answers what is asked, and leaves nothing behind."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from kbootstrap.catalog.hosts import COMMANDS, LIMITS, WRITTEN
from kbootstrap.model.survey import Survey
from kbootstrap.plan import facts, survey
from kbootstrap.testing.builders import a_cluster

SPEC = a_cluster(1, 1)
SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]
DEADLINE_S = 60.0
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


def asked(shell: str, text: str) -> str:
    done = subprocess.run([shell], input=text, env=_ENVIRONMENT, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def seen(shell: str, *, thorough: bool) -> Survey:
    return survey.parse(asked(shell, survey.probe(SPEC, SPEC.workers[0], thorough=thorough)))  # a worker's does not try the disk


@pytest.mark.parametrize("shell", SHELLS)
def test_the_quick_half_answers_in_every_shell(shell: str) -> None:
    found = seen(shell, thorough=False)
    assert not found.thorough
    assert [room.path for room in found.rooms] == list(WRITTEN)
    assert all(room.free_kb >= 0 and room.mount.startswith("/") and room.options for room in found.rooms)
    assert set(found.limits) == set(LIMITS)
    assert {"cpu", "memory"} <= found.controllers
    assert set(found.modules) == {"overlay", "br_netfilter", "nf_conntrack"}
    assert found.missing <= {*COMMANDS, "haproxy", "apparmor_parser"}
    assert found.nameservers is not None
    assert any("127.0.0.1/8" in link.addresses for link in found.links)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_thorough_half_answers_in_every_shell(shell: str) -> None:
    found = seen(shell, thorough=True)
    assert found.thorough
    assert found.lookup is not None
    assert 0 <= found.lookup.seconds < DEADLINE_S


@pytest.mark.parametrize("shell", SHELLS)
def test_facts_in_every_shell(shell: str) -> None:
    found = facts.parse(asked(shell, facts.PROBE), now_s=0.0)
    assert found.hostname
    assert found.kernel[0].isdigit()
    assert found.memory_kb > 1024
    assert found.cpus >= 1
    assert "127.0.0.1/8" in found.addresses
    assert found.clock_s > 0
