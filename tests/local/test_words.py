"""Last words on a real shell: who is asked for them, and how far back."""

from __future__ import annotations

import pytest

from kbootstrap.plan import autopsy, words
from kbootstrap.remote.local import LocalConnection

SYSTEMD = """\
systemctl() {
  printf 'Id=etcd.service\\nActiveState=active\\nNRestarts=0\\nInvocationID=aaa\\n\\n'
  printf 'Id=kubelet.service\\nActiveState=activating\\nNRestarts=7\\nInvocationID=bbb\\n\\n'
  printf 'Id=kube-proxy.service\\nActiveState=active\\nNRestarts=7\\nInvocationID=ccc\\n'
}
journalctl() { echo "asked $*"; }
timeout() { shift; "$@"; }
"""
KUBELET = "UNIT=kubelet.service + _SYSTEMD_UNIT=kubelet.service + COREDUMP_UNIT=kubelet.service"
UNITS = ("etcd.service", "kubelet.service", "kube-proxy.service")


def asked(text: str) -> dict[str, tuple[str, ...]]:
    running = LocalConnection().run(SYSTEMD + text)
    output = b"\n".join(running.lines()).decode()
    assert running.finish().exit_code == 0
    return words.parse(output)


def test_who_runs_well_is_not_asked() -> None:
    found = asked(words.probe(UNITS))
    assert list(found) == ["kubelet.service", "kube-proxy.service"]
    assert found["kubelet.service"] == (f"asked -n 300 --no-pager -o cat {KUBELET}",)


def test_of_all_who_run_only_since_they_began() -> None:
    found = asked(words.probe(UNITS, every=True, times=True))
    assert found["etcd.service"] == ("asked -n 300 --no-pager -o short-iso _SYSTEMD_INVOCATION_ID=aaa + INVOCATION_ID=aaa",)
    assert found["kubelet.service"] == (f"asked -n 300 --no-pager -o short-iso {KUBELET}",)


def test_without_units_nothing_is_asked() -> None:
    assert words.probe(()) == ""


@pytest.mark.parametrize("name", ["machine", "network", "files", "kernel"])
def test_what_an_autopsy_reads_runs_in_a_plain_shell(name: str) -> None:
    running = LocalConnection().run(dict(autopsy.sections(()))[name])
    lines = list(running.lines())
    assert running.finish().exit_code == 0
    assert lines or name in ("kernel", "files", "network")
