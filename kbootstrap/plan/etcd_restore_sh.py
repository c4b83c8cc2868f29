"""The sh texts of a restore of etcd, a step each. Every line may be the last that a run comes to: the next run begins the step again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kbootstrap.catalog import names, paths
from kbootstrap.model.host import Host
from kbootstrap.plan.checks.gates import etcdctl, kubectl, wait
from kbootstrap.plan.etcd_restore import BUMP, DATA, Restore
from kbootstrap.render import etcd
from kbootstrap.resources.difference import sh

API: Final = ("kube-apiserver.service",)
CONTROLLERS: Final = ("kube-controller-manager.service", "kube-scheduler.service")
ETCD: Final = "etcd.service"

_LOOK: Final = """\
d={data}; w={work}
has() {{ [ -e "$1" ] && echo "$2"; }}
has $d/member member
has $w/new/member new
has $w/old old
for f in $d/restore-*/old; do [ ! -e "$f" ] || [ "$f" = $w/old ] || {{ f=${{f%/old}}; echo "other ${{f##*/restore-}}"; }}; done
for f in $d/before-*-{id}; do [ ! -e "$f" ] || {{ f=${{f##*/before-}}; echo "done ${{f%-*}}"; }}; done
has {blob} uploaded
free() {{ p=$1; while [ ! -e "$p" ]; do p=${{p%/*}}; done; df -P -k "${{p:-/}}" | awk 'NR == 2 {{ print $4 }}'; }}
echo "data_free $(free $d)"
echo "blobs_free $(free {blobs})"
[ -x {bin}/etcdutl ] || echo "lacks {bin}/etcdutl"
[ -x {bin}/etcdctl ] || echo "lacks {bin}/etcdctl"
id -u {user} >/dev/null 2>&1 || echo "lacks user {user}"
if [ ! -e {unit} ]; then echo "lacks {unit}"
elif ! grep -qF -- {peer} {unit}; then echo "lacks {url} in {unit}"; fi
[ -r {ca} ] || echo "lacks {ca}"
systemctl is-active --quiet kube-apiserver.service && echo api
echo "etcdutl $({bin}/etcdutl version 2>/dev/null | sed -n 's/^etcdutl version: //p')"
exit 0
"""


def look(restore: Restore, host: Host) -> str:
    """sh text that tells how far *restore* is on *host*, and what it lacks for it."""
    return _LOOK.format(
        data=DATA,
        work=restore.work,
        id=restore.id,
        blob=restore.blob,
        blobs=paths.BLOBS,
        bin=paths.BIN,
        user=names.ETCD_USER,
        unit=paths.unit(ETCD),
        url=etcd.peer_url(host),
        peer=sh(f"initial-advertise-peer-urls={etcd.peer_url(host)}"),
        ca=paths.ETCD_CA,
    )


_STAGE: Final = """\
d={data}; w={work}
[ -d $d ] || install -d -m 0700 -o {user} -g {user} $d
for o in $d/restore-*; do [ ! -e "$o" ] || [ -e "$o/old" ] || rm -rf "$o"; done
{bin}/etcdutl snapshot restore {blob} --data-dir $w.part/new --name {name} --initial-cluster {cluster} --initial-cluster-token {token} \
  --initial-advertise-peer-urls {url} --bump-revision {bump} --mark-compacted >$d/restore.log 2>&1 || {{ tail -n 2 $d/restore.log; exit 1; }}
rm -f $d/restore.log
chown -R {user}:{user} $w.part
chmod -R u=rwX,go= $w.part
sync -f $w.part
mv -T $w.part $w
rm -f {blob}
"""


def stage(restore: Restore, host: Host) -> str:
    """Make the new member's data beside the old, owned as etcd wants it, on the disk. Changes nothing that runs.

    The token is the one of the unit: members' ids follow from it, and by its id a member whose disk is lost later is told by the others that it
    was there before. With another token two such members of three would begin a new and empty cluster of their own."""
    return _STAGE.format(
        data=DATA,
        work=restore.work,
        user=names.ETCD_USER,
        bin=paths.BIN,
        blob=restore.blob,
        name=sh(host.name),
        cluster=sh(etcd.initial_cluster(restore.spec)),
        token=sh(restore.spec.name),
        url=sh(etcd.peer_url(host)),
        bump=BUMP,
    )


def _each_loaded(units: Iterable[str], command: str) -> str:
    return f'for u in {" ".join(units)}; do [ "$(systemctl show -p LoadState --value "$u")" != loaded ] || {command} "$u"; done\n'


_STOP: Final = """\
systemctl stop --no-block {etcd}
systemctl kill -s KILL {api} 2>/dev/null || :
systemctl stop {etcd}
for u in {etcd} {api}; do
  case $(systemctl show -p ActiveState --value $u) in inactive|failed) ;; *) echo "$u does not stop"; exit 1 ;; esac
done
"""


def stop() -> str:
    """etcd and its API server, which would wait half a minute for requests that nobody answers any more, or whose effect is given up anyway; and
    who writes through it."""
    return _each_loaded(CONTROLLERS, "systemctl stop") + _STOP.format(etcd=ETCD, api=API[0])


_SWAP: Final = """\
d={data}; w={work}
for o in $d/restore-*; do [ "$o" = $w ] || [ ! -e "$o/old" ] || mv -T "$o" "$d/before-{time}-${{o##*/restore-}}"; done
[ -e $w/old ] || install -d -m 0700 -o {user} -g {user} $w/old
if [ -e $w/new/member ]; then
  [ ! -e $d/member ] || mv -T $d/member $w/old/member
  mv -T $w/new/member $d/member
fi
sync -f $d
"""


def swap(restore: Restore, time: str) -> str:
    """The new data takes the old's place, which is kept. Two renames, neither of them twice."""
    return _SWAP.format(data=DATA, work=restore.work, user=names.ETCD_USER, time=time)


def start() -> str:
    """etcd alone: its unit wants the API server, which is not to write before the keys are counted. No member is
    waited for: none is ready alone."""
    return f"systemctl reset-failed {ETCD} 2>/dev/null || :\nsystemctl start --no-block --job-mode=ignore-dependencies {ETCD}\n"


def serving(host: Host) -> str:
    """Waits until the member of *host* reads what a majority agreed to."""
    return wait("etcd-endpoint", f"{etcdctl(host)} endpoint health", [ETCD]).text


def count(host: Host) -> str:
    """What ``etcd_restore.counted`` reads: all keys counted, with the revision; the hash of all that is in the member of *host*."""
    ask = f"{etcdctl(host)} --command-timeout=60s"
    return f"{ask} get '' --prefix --count-only -w fields\n{ask} endpoint hashkv -w json\n"


def api(host: Host) -> str:
    """Start the API server of *host* and wait for it; one that was never installed there is left to ``cluster.up``."""
    gate = wait("apiserver-readyz", f"{kubectl(host)} --request-timeout=4s get --raw /readyz", [*API, ETCD]).text
    there = f'[ "$(systemctl show -p LoadState --value {API[0]})" = loaded ] || {{ echo "not installed"; exit 0; }}'
    return f"{there}\nsystemctl start --no-block {API[0]}\n{gate}"


def controllers() -> str:
    """Controllers and schedulers begin anew: what they remember was of another history."""
    return _each_loaded(CONTROLLERS, "systemctl restart")


def readable(host: Host) -> str:
    """Everything sealed can be opened, and what every cluster has is there, through the API of *host*."""
    return f"{kubectl(host)} get namespaces,secrets --all-namespaces --output=name >/dev/null && {kubectl(host)} get namespace kube-system -o name\n"


def finish(restore: Restore, time: str) -> str:
    """The folder gets the name under which it stays. What earlier attempts uploaded goes: the host is locked, no other bytes are on their way."""
    return f"if [ -e {restore.work} ]; then mv -T {restore.work} {DATA}/before-{time}-{restore.id}; fi\nrm -f {paths.BLOBS}/*\n"
