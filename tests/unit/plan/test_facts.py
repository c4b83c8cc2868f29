"""What a host says of itself, from the text that it says."""

from __future__ import annotations

from kbootstrap.plan import facts

SAID = """\
clock=1767225605.250000000
hostname=m1
arch=x86_64
kernel=6.1.0-18-amd64
os=debian 12
systemd=252
cpus=2
memory_kb=4026316
cgroup=v2
machine_id=0123456789abcdef0123456789abcdef
boot_id=a2c0
swap=1
ca_sha256=abcd
1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever
2: eth0    inet 10.77.0.11/24 brd 10.77.0.255 scope global eth0\\       valid_lft forever preferred_lft forever
"""


def test_everything_said_is_understood() -> None:
    found = facts.parse(SAID, now_s=1767225600.0)
    assert (found.hostname, found.arch, found.os, found.kernel) == ("m1", "amd64", "debian 12", "6.1.0-18-amd64")
    assert (found.systemd, found.cpus, found.memory_kb, found.cgroup) == (252, 2, 4026316, "v2")
    assert (found.machine_id[:4], found.boot_id, found.ca_sha256, found.swap) == ("0123", "a2c0", "abcd", True)
    assert found.addresses == ("127.0.0.1/8", "10.77.0.11/24")
    assert found.clock_s == 5.25


def test_what_is_not_said_is_absent_not_wrong() -> None:
    found = facts.parse("arch=riscv64\n", now_s=1.0)
    assert (found.arch, found.systemd, found.clock_s, found.swap, found.addresses) == ("riscv64", 0, 0.0, False, ())
