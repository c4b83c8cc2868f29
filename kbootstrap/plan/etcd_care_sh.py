"""sh texts of etcd's upkeep."""

from __future__ import annotations

from typing import Final

from kbootstrap.model.host import Host
from kbootstrap.plan.checks.gates import etcdctl

_COMPACT: Final = r"""
revision=$({etcdctl} endpoint status -w fields | sed -n 's/^"Revision" : //p')
[ -n "$revision" ] || {{ echo "its revision cannot be read" >&2; exit 1; }}
{etcdctl} --command-timeout=300s compact "$revision" --physical 2>&1 | grep -v -e '^compacted' -e 'has been compacted' >&2
{etcdctl} get kb-no-such-key --rev=$((revision - 1)) 2>&1 | grep -q compacted
"""


def compact(host: Host) -> str:
    """Forget every revision but the present one, by the member of *host*; what was compacted already is no failure."""
    return _COMPACT.format(etcdctl=etcdctl(host))


def hash_of(host: Host) -> str:
    """The hash of all that the member of *host* holds, with its revision; asked of the member itself, which an alarm does not hinder."""
    return f"{etcdctl(host)} --command-timeout=60s endpoint hashkv -w json\n"
