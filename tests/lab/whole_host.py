"""Everything that a host can be asked, written down, so that before and after can be compared line by line."""

from __future__ import annotations

import difflib
import re

from kbootstrap import lab as labs
from tests.lab.conftest import Cluster

SNAPSHOT = r"""
export LC_ALL=C
find / /var/lib -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /var/tmp \) -prune \
  -o \( -type d -printf 'file %p %m %U:%G d\n' -o -printf 'file %p %m %U:%G %y %s %l\n' \) | sort -u
find /etc /usr/local /opt /root /home /srv /var -type f -print0 | sort -z | xargs -0 sha256sum | sed 's/^/hash /'
find /run /tmp /var/tmp -xdev -printf 'run %p %m %U:%G %y\n' | sort
getent passwd | sed 's/^/user /'; getent group | sed 's/^/group /'
systemctl list-units --all --plain --no-legend --full | awk '{print "unit", $1, $2, $3, $4}' | sort
systemctl list-unit-files --plain --no-legend | awk '{print "unitfile", $1, $2}' | sort
cut -d' ' -f 5,9- /proc/self/mountinfo | sed 's/^/mount /' | sort
ip -o link | sed 's/^[0-9]*: /link /'
ip -o addr | sed 's/^[0-9]*: /address /'
ip route show table all | sed 's/^/route /'; ip -6 route show table all | sed 's/^/route6 /'; ip rule | sed 's/^/rule /'
nft -s list ruleset 2>&1 | sed 's/^/nft /'
sysctl -a 2>/dev/null | sed -n 's/^net/sysctl net/p'
find /sys/fs/cgroup -mindepth 2 -type d | sed 's/^/cgroup /' | sort
ps -eo ppid,args --no-headers | awk '$1 != 2' | sed 's/^ *[0-9]* /process /' | sort
"""

# What may differ, and why. Everything else is a trace of ours.
ALLOWED = {
    r"(file|hash) .*/var/log/journal(/| )|^hash \w+ +/var/log/journal/": "the journal goes on",
    r"/run/systemd/journal/streams/|/run/systemd/(sessions|users|inhibit)/|/run/user/": "systemd's own book-keeping of sessions and streams",
    r"/var/log/(wtmp|lastlog|btmp)\b|/run/utmp\b": "logins are recorded",
    r"/etc/(passwd|group|shadow|gshadow)- ?": "the copies that useradd and userdel themselves keep of what was before",
    r"/run/motd\.dynamic|/\.sudo_as_admin_successful|/run/sudo/|/var/lib/sudo/": "left by sshd's and sudo's logins, not by what was done in them",
    r"^run /run/systemd/transient 755 ": "systemd's empty directory for transient units, made with the first one",
    r"^unit network-online\.target ": "a milestone of the boot that our units waited for: it runs nothing",
    r"^(unit|cgroup) .*(session-|user-\d+\.slice|user@|user-runtime-dir@|run-user-)": "sessions of those who look",
    r"^unit run-credentials-systemd": "credentials of systemd's own units, mounted while it boots",
    r"^(address|route6?) .*\bfe80:": "link-local addresses come some seconds after a boot",
    r"^unit run-netns\S*\.mount ": "systemd tells of a mount a moment after it was made; the mounts themselves are compared on lines of their own",
    r"^process sleep 2$": "the watcher of a program that has just ended; it ends with its next look",
    r"^sysctl net\.netfilter\.nf_conntrack_count ": "a count of connections, not a setting",
    r"^process (sh -s|sort|ps |awk |sed |sshd: |timeout )": "those who look",
}


def inside(host: labs.LabHost, script: str) -> str:
    done = labs.execute(host, ["sh", "-s"], text=script)
    assert done.returncode == 0, f"{host.name}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def snapshot(cluster: Cluster) -> dict[str, list[str]]:
    """Host → every line of what it says of itself but those that differ by themselves."""
    allowed = re.compile("|".join(ALLOWED))
    return {host.name: [line for line in inside(host, SNAPSHOT).splitlines() if not allowed.search(line)] for host in cluster.lab.hosts}


def settled(cluster: Cluster) -> dict[str, list[str]]:
    """The snapshot, once the jobs of the boot are done."""
    for host in cluster.lab.hosts:
        inside(host, 'for i in $(seq 100); do [ -n "$(systemctl list-jobs --no-legend)" ] || exit 0; sleep 0.2; done; exit 1\n')
    return snapshot(cluster)


def same(before: dict[str, list[str]], after: dict[str, list[str]]) -> None:
    for host, lines in before.items():
        assert len(lines) > 5000, f"{host} says too little of itself to be compared"
        left = [line for line in difflib.unified_diff(lines, after[host], lineterm="", n=0) if line[:3] not in ("---", "+++") and line[0] in "+-"]
        assert not left, f"{host} is not as it was:\n" + "\n".join(left[:60])
