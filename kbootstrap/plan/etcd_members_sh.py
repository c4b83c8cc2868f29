"""The sh texts of etcd's membership. Each looks at the members' list itself and does what is left to do, so it may be cut off anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kbootstrap.catalog import paths
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.host import Host
from kbootstrap.plan.checks.gates import etcdctl
from kbootstrap.render import etcd

SETTLING_S: Final = 60  # etcd changes no membership until the connections of all members are five seconds old
START_S: Final = 60
CATCH_UP_S: Final = 900  # gigabytes over a slow line

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


_ORDER: Final = """\
mkdir -p {state} {run}
cat >{order}.new <<KB
{text}KB
mv {order}.new {order}
"""


def begin(spec: ClusterSpec) -> str:
    """The order to begin a cluster of all masters."""
    return _write(etcd.initial(etcd.initial_cluster(spec), "new", spec.name))


def _write(text: str) -> str:
    return _ORDER.format(state=paths.STATE, run=paths.RUN, order=paths.ETCD_INITIAL, text=text)


_OWN: Final = """\
rows() {{ list=$({ask} member list 2>&1) || {{ out=$list; return 1; }}
  mine=$(printf '%s\\n' "$list" | grep -F -e ', {name}, ' -e ', {peer}, ') || :
  started=$(printf '%s\\n' "$mine" | grep -F ', started, ') || :; }}
aside() {{ [ ! -e {data}/member ] || mv -T {data}/member {data}/before-$(date -u +%Y%m%dT%H%M%SZ)-removed; }}
out='no member answers'
"""

_JOIN: Final = """\
mkdir -p {state} {run}
end=$(( $(date +%s) + {settling_s} ))
while :; do
  if rows; then
    if [ -e {wal} ] && [ -n "$mine" ]; then exit 0; fi
    if [ -n "$started" ]; then out=$({ask} member remove "${{started%%,*}}" 2>&1) && continue || :
    elif [ -n "$mine" ]; then break
    else
      [ ! -e {wal} ] || {{ systemctl stop etcd.service; aside; }}
      touch {flag}
      for id in $(printf '%s\\n' "$list" | grep ', true$' | grep -vF {masters} | cut -d , -f 1); do {ask} member remove "$id" || :; done
      out=$({ask} member add {name} --learner --peer-urls={peer} 2>&1) && continue || :
    fi
  fi
  [ "$(date +%s)" -lt "$end" ] || {{ echo "etcd does not add it: $(printf '%s\\n' "$out" | grep -v '^{{' | tail -n 2)"; exit 1; }}
  sleep 0.5
done
systemctl stop etcd.service 2>/dev/null || :
aside
touch {flag}
cluster=$(printf '%s\\n' "$list" | sed -n 's/^[0-9a-f]*, started, \\([^,]*\\), \\([^,]*\\), .*$/\\1=\\2,/p' | tr -d '\\n')
"""


def join(spec: ClusterSpec, host: Host, through: Sequence[Host]) -> str:
    """On *host*, which has no data, or some of a member that was removed: its former member goes, a learner is added, and it gets the order to join.

    A learner that is no master's, left by a run that was cut off before the inventory was taken back, goes too: etcd bears one at a time.
    """
    masters = " ".join(f"-e {etcd.peer_url(each)}," for each in spec.masters)
    order = etcd.initial(f"${{cluster}}{host.name}={etcd.peer_url(host)}", "existing", spec.name)
    return _filled(_OWN + _JOIN, host, through, masters=masters) + _write(order)


_PROMOTE: Final = """\
systemctl reset-failed etcd.service 2>/dev/null || :
systemctl start --no-block etcd.service
now() {{ date +%s; }}
begun=$(now); seen=$begun
while :; do
  if rows; then
    seen=$(now)
    case "$mine" in
      '') out='it is no member any more'; break ;;
      *', false') rm -f {flag}; exit 0 ;;
    esac
    if [ -n "$started" ]; then out=$({ask} member promote "${{started%%,*}}" 2>&1) && continue || :
    else out='it has not started'; [ $(( $(now) - begun )) -lt {start_s} ] || break; fi
  else [ $(( $(now) - seen )) -lt {start_s} ] || break; fi
  [ $(( $(now) - begun )) -lt {catch_up_s} ] || break
  sleep 0.3
done
echo "as a learner it did not catch up: $(printf '%s\\n' "$out" | grep -v '^{{' | tail -n 1)"
systemctl stop etcd.service || :
journalctl -u etcd.service -n 8 --no-pager -o cat 2>/dev/null | cut -c1-400
if rows; then
  case "$mine" in
    *', true') {ask} member remove "${{mine%%,*}}" >/dev/null && mine= ;;
  esac
  [ -n "$mine" ] || {{ aside && rm -f {flag} {order} && echo 'It is no member any more; the others are as before.'; }}
fi
exit 1
"""


def promote(host: Host, through: Sequence[Host]) -> str:
    """Start etcd on *host* if it does not run, and make it a voter: etcd refuses that until it has caught up. If it does not, it is removed again."""
    return _filled(_OWN + _PROMOTE, host, through)


def _filled(text: str, host: Host, through: Sequence[Host], **more: str) -> str:
    return text.format(
        ask=etcdctl(host, *through),
        name=host.name,
        peer=etcd.peer_url(host),
        data=paths.ETCD_DATA,
        wal=paths.ETCD_WAL,
        flag=paths.ETCD_LEARNER,
        order=paths.ETCD_INITIAL,
        state=paths.STATE,
        run=paths.RUN,
        settling_s=SETTLING_S,
        start_s=START_S,
        catch_up_s=CATCH_UP_S,
        **more,
    )
