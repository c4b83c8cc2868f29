"""sh texts that read a member's database: two lines about it (etcdutl's JSON, then size and sha256), then its bytes. Nothing stays on the host."""

from __future__ import annotations

from typing import Final

from kbootstrap.catalog import paths
from kbootstrap.model.host import Host
from kbootstrap.plan.checks.gates import etcdctl

SAVING_S: Final = 3600
DATABASE: Final = f"{paths.ETCD_DATA}/member/snap/db"

# On disk, not in /run: that is memory, and a database may have gigabytes. What a killed run left goes after two hours.
_SAVE: Final = """\
exec </dev/null
mkdir -p -m 700 {state}
find {state} -maxdepth 1 -name '.snapshot-*' -mmin +120 -exec rm -rf {{}} +
free=$(df -P -k {state} | awk 'NR == 2 {{ print $4 }}')
[ "$free" -gt {need_kib} ] || {{ echo "{state} has $free KiB free, the snapshot needs {need_kib}" >&2; exit 1; }}
t=$(mktemp -d {state}/.snapshot-XXXXXX) || exit 1
trap 'rm -rf "$t"' EXIT
trap 'exit 143' TERM HUP INT PIPE
{etcdctl} --command-timeout={seconds}s snapshot save "$t/db" >"$t/log" 2>&1 || {{ grep -v '^{{' "$t/log" | tail -n 2 >&2; exit 1; }}
"""

_TELL: Final = """\
{bin}/etcdutl snapshot status {file} -w json || exit 1
echo "$(stat -c %s {file}) $(sha256sum <{file} | cut -d ' ' -f 1)"
cat {file}
"""


def save(host: Host, db_bytes: int) -> str:
    """Take a snapshot of the member on *host*, whose database has *db_bytes*, and write it to standard output."""
    text = _SAVE.format(state=paths.STATE, need_kib=db_bytes // 1024 + 64 * 1024, etcdctl=etcdctl(host), seconds=SAVING_S)
    return text + _TELL.format(bin=paths.BIN, file='"$t/db"')


_STOPPED: Final = """\
exec </dev/null
systemctl stop --no-block etcd.service
systemctl kill -s KILL kube-apiserver.service 2>/dev/null
systemctl stop etcd.service || exit 1
[ -s {file} ] || {{ echo "{file} is not there" >&2; exit 1; }}
"""


def copy() -> str:
    """The database of a member that serves nobody, at rest: the member is stopped for it, which writes what it still held in memory."""
    return _STOPPED.format(file=DATABASE) + _TELL.format(bin=paths.BIN, file=DATABASE)
