"""The sh texts of etcd's membership. Each looks at the members' list itself and does what is left to do, so it may be cut off anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kbootstrap.model.cluster import Host
from kbootstrap.plan.checks.gates import etcdctl

SETTLING_S: Final = 60  # etcd changes no membership until the connections of all members are five seconds old

LIST: Final = "member list -w json"

_REMOVE: Final = """\
exec </dev/null
end=$(( $(date +%s) + {settling_s} ))
while :; do
  list=$({ask} member list 2>&1) && {{ echo "$list" | grep -q '^{id}, ' || exit 0; }} || :
  out=$({ask} member remove {id} 2>&1) || :
  list=$({ask} member list 2>&1) && {{ echo "$list" | grep -q '^{id}, ' || exit 0; }} || :
  [ "$(date +%s)" -lt "$end" ] || break
  sleep 0.5
done
echo "$out" | tail -n 2 >&2
exit 1
"""


def members(host: Host) -> str:
    """The members' list as the member of *host* knows it and a majority agrees."""
    return f"{etcdctl(host)} {LIST}\n"


def remove(through: Sequence[Host], member_id: str) -> str:
    """Take *member_id* out of the list, by the members of *through*, which stay. Nothing where it is not in it."""
    return _REMOVE.format(ask=etcdctl(through[0], *through), id=member_id, settling_s=SETTLING_S)
