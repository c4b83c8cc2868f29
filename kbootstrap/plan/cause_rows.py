"""The causes by name: what a line of a daemon or of systemd says, what that means, and what mends it. ``causes.py`` reads it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_AGAIN: Final = "invoke cluster.up"
_FLAGS: Final = "invoke cluster.up writes its unit anew; yours are in cluster.yml (invoke inventory.show {host}) or a drop-in (systemctl cat {unit})"
_SHOW: Final = "On {host}: journalctl -u {unit} -n 50"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """*pattern* is searched in a line; its named groups, ``unit`` and ``host`` stand in *what* and *hint*."""

    id: str
    pattern: re.Pattern[str]
    what: str
    hint: str
    symptom: bool = False


def _row(name: str, pattern: str, what: str, hint: str = _SHOW, *, symptom: bool = False) -> Row:
    return Row(id=name, pattern=re.compile(pattern), what=what, hint=hint, symptom=symptom)


_FILE: Final = r"(?P<file>/[^\s:'\",]+)"
_ADDRESS: Final = r"(?P<address>\d+\.\d+\.\d+\.\d+|\[::1?\]|):(?P<port>\d+)"

ROWS: Final = (
    _row("disk-full", r"[Nn]o space left on device|ENOSPC", "the disk is full", "On {host}: df -h; du -xh --max-depth=2 /var | sort -h | tail"),
    _row("quota", r"mvcc: database space exceeded|NOSPACE", "etcd's own quota is used up, it takes no more writes", "invoke etcd.defrag"),
    _row("port-taken", rf"listen \w+ {_ADDRESS}: bind: address already in use|(?i:bind)\S* .*address already in use",
         "its port {port} is taken by another process", "On {host}: ss -lntup sport = :{port}; stop what it names, {unit} starts by itself"),
    _row("address", rf"listen \w+ {_ADDRESS}: bind: cannot assign requested address", "the host has no address {address}, on which it is to listen",
         "On {host}: ip -4 address; compare with address: in cluster.yml"),
    _row("flag", r"unknown (?:shorthand )?flag: '?(?P<flag>-[\w-]+)|flag provided but not defined: (?P<single>-\S+)",
         "it does not know the flag {flag}", _FLAGS),
    _row("flag-value", r"invalid (?:argument|value) (?P<value>\"[^\"]*\") for (?:\"?-\S*, )?\"?(?:flag )?(?P<flag>-[\w-]+)",
         "it refuses the value {value} of its flag {flag}",
         _FLAGS),
    _row("gate", r"(?:unrecognized feature gate: |cannot set feature gate )(?P<gate>\w+)",
         "its version has no feature gate {gate} that could be set: a gate goes some versions after it became a matter of course",
         "Take it out of extra_args: in cluster.yml; invoke inventory.show {host} tells where it stands"),
    _row("exec-format", r"[Ee]xec format error|cannot execute binary file", "its program is damaged or of another architecture",
         f"{_AGAIN} --deep puts the right one there"),
    _row("missing",
         rf"(?:Failed to locate executable|Unable to locate executable|Failed at step EXEC spawning|cannot statx?) '?{_FILE}'?:? ?.*No such file",
         "its program {file} is missing", f"{_AGAIN} puts it back"),
    _row("executable", rf"(?:Failed at step EXEC spawning|Failed to execute) '?{_FILE}'?: Permission denied",
         "its program {file} may not be executed", f"{_AGAIN}; if it stays so, On {{host}}: findmnt -T {{file}} (noexec?)"),
    _row("file-missing",
         rf"(?:sha256sum|open|stat|unable to (?:load|read)|failed to (?:load|read|open)).*?{_FILE}'?: (?:open [^:]+: )?[Nn]o such file",
         "the file {file} is missing", f"{_AGAIN} puts it back"),
    _row("credential", r"Failed to set up credentials|status=243/CREDENTIALS|Failed at step CREDENTIALS",
         "a certificate or key that its unit loads is missing", f"{_AGAIN} puts it back"),
    _row("user", r"status=217/USER|Failed at step USER|Failed to determine user credentials", "the user that it runs as is missing", _AGAIN),
    _row("permission", rf"(?:open|read|mkdir|stat|create|access)\w* {_FILE}: permission denied|cannot access data directory",
         "it may not read or write {file}", f"{_AGAIN} sets owner and mode right; On {{host}}: ls -l {{file}}"),
    _row("key", r"tls: private key (?:type )?does not match public key|private key does not match", "its key does not belong to its certificate",
         f"{_AGAIN} puts both right; invoke certs.check says which"),
    _row("pem",
         r"failed to find any PEM data|no PEM (?:data|encoded|certificate)|x509: malformed|asn1: (?:structure|syntax)|failed to parse certificate|"
         r"error (?:parsing|reading) .*certificate|any valid .*certificates|unable to load (?:client CA|certificate)|illegal base64 data",
         "a certificate or key that it reads is damaged", f"{_AGAIN} puts it right; invoke certs.check says which"),
    _row("not-yet", r"x509: certificate has expired or is not yet valid: current time (?P<now>\S+) is before (?P<then>\S+)",
         "a certificate is not valid before {then}, and its clock says {now}",
         "On {host}: timedatectl; the clock is wrong here, or was where it was issued"),
    _row("expired",
         r"x509: certificate has expired or is not yet valid(?:: current time \S+ is after (?P<then>[^\s\",]+))?|certificate (?:has )?expired",
         "a certificate has expired ({then})", "invoke certs.renew; invoke certs.check says which"),
    _row("authority", r"x509: certificate signed by unknown authority|unknown certificate authority|tls: unknown_ca|certificate is not trusted",
         "a certificate was signed by another CA than the one that is trusted", "invoke certs.check says which; invoke certs.renew"),
    _row("name", r"x509: certificate is valid for (?P<has>.*?), not (?P<name>[^\s\",]+)", "the certificate that it is shown lacks the name {name}",
         "invoke certs.renew issues it with the inventory's names"),
    _row("bootstrapped", r"member \w+ has already been bootstrapped", "its data are gone, and the other members still know it",
         "invoke cluster.up joins it anew; invoke etcd.status shows the members"),
    _row("cluster-id", r"cluster ID mismatch|mismatched? cluster ID|ClusterIDMismatch",
         "its data are of another etcd cluster than the other members'",
         "invoke etcd.status shows whose; with the wrong data moved away on {host}, invoke cluster.up joins it anew"),
    _row("removed", r"the member has been permanently removed|member \S+ .*not found in (?:the )?cluster", "its member was removed from the cluster",
         "invoke etcd.status shows the members; invoke cluster.up"),
    _row("peers", r"error validating peerURLs|member count is unequal|mismatch member count", "its list of members is not the cluster's",
         "invoke etcd.status shows the members; invoke cluster.up"),
    _row("data",
         r"wal(?:pb)?: crc mismatch|snap: crc mismatch|walpb?: .*(?:corrupt|slice bounds)|invalid database|freepages|file size too small|"
         r"bbolt.*(?:corrupt|page \d+ already freed)|data inconsistency",
         "etcd's data on this host are damaged",
         "invoke etcd.status; with others that serve: On {host}: move /var/lib/etcd/member away, then invoke cluster.up"),
    _row("encryption",
         r"error while building transformers|error reading encryption provider configuration|unable to transform key|no matching prefix found",
         "its key for Secrets does not fit what is stored, or cannot be read", f"{_AGAIN}; the keys are in inventory/…/pki"),
    _row("config",
         r"(?:failed to (?:load|decode|parse|unmarshal)|error loading|get version/kind).*(?:config|TOML|toml|json).*?(?:: (?P<why>[^\"]{0,120}))?$|"
         r"strict decoding error: (?P<strict>[^\"]{0,120})",
         "it refuses its configuration {why}", f"{_AGAIN} writes it anew"),
    _row("swap", r"running with swap on is not supported|swap on is not supported", "the host swaps",
         "On {host}: swapoff -a; and take it out of /etc/fstab"),
    _row("cgroup-v1", r"not (?:to )?run on a host using cgroup v1|cgroup v1 support is (?:deprecated|unsupported)", "the host has cgroup v1",
         "Boot {host} with systemd.unified_cgroup_hierarchy=1, or set kubelet: {{allow_cgroup_v1: true}}"),
    _row("cgroup-driver", r"cgroup driver: \S+ is different|expected cgroupsPath to be of format|(?:systemd|cgroupfs) cgroup driver",
         "kubelet and containerd differ in their cgroup driver", f"{_AGAIN} sets both to systemd"),
    _row("cgroup", r"[Ff]ailed to (?:find|get|initialize) .*(?:cgroup|controllers?)|cgroup (?:controller|subsystem) \S+ (?:is )?(?:missing|not)",
         "a cgroup controller is missing", "On {host}: cat /sys/fs/cgroup/cgroup.controllers; boot with cgroup_enable=memory"),
    _row("node-name",
         r"is not allowed to modify node \"?(?P<node>[\w.-]+)|[Nn]ode name.*(?:mismatch|does not match)|"
         r"nodes \"(?P<other>[\w.-]+)\" is forbidden: (?!.*cannot)",
         "the host calls itself {node}, its certificate another name", "On {host}: hostnamectl set-hostname {host}; systemctl restart kubelet"),
    _row("oom", r"killed by the OOM killer|[Oo]ut of memory: Kill|result 'oom-kill'|status=137", "the kernel killed it: memory ran out",
         "On {host}: free -m; systemctl status {unit}; give the host more memory or fewer pods"),
    _row("files", r"too many open files|inotify_init.*(?:EMFILE|too many)", "it has no file handles left",
         "On {host}: sysctl fs.file-max fs.inotify.max_user_instances"),
    _row("modules",
         r"(?:modprobe|Module) .*not found|nft(?:ables)?.*(?:not supported|executable file not found)|"
         r"exec: \"(?P<program>[\w.-]+)\": executable file not found",
         "something of the system is missing: {program}", "invoke preflight.run"),
    _row("clock", r"clock (?:difference|drift)|too (?:high )?(?:clock )?drift|clock skew", "its clock differs from the others'",
         "On {host}: timedatectl set-ntp true"),
    _row("image", r"(?:[Ff]ailed to (?:pull|get sandbox) image|ErrImagePull|ImagePullBackOff|Back-off pulling image) \\?\"?(?P<image>[\w./:@-]+)?",
         "the image {image} cannot be had", "invoke cluster.up brings the images of the cluster; else On {host}: crictl pull {image}"),
    _row("denied", r"(?:error|err).*\b(?:Unauthorized|x509: certificate is not valid)\b", "the API server refuses its certificate",
         "invoke certs.check"),
    _row("panic", r"^(?:panic|fatal error|runtime error): (?P<why>.{0,160})", "it crashed: {why}",
         f"{_SHOW}; a bug of the program, or damaged files: {_AGAIN} --deep"),
    _row("no-runtime", r"containerd\.sock.*(?:no such file|connection refused)|validate service connection", "containerd does not answer",
         "On {host}: systemctl restart containerd; journalctl -u containerd -n 50", symptom=True),
    _row("dropped",
         r"(?:dial tcp|dial-timeout|peer).*?(?P<address>\d+\.\d+\.\d+\.\d+):(?P<port>\d+).*(?:i/o timeout|no route to host|network is unreachable)",
         "{address} port {port} cannot be reached: the host is down, or a firewall drops", "invoke ports.check names the rule", symptom=True),
    _row("refused", r"(?P<address>\d+\.\d+\.\d+\.\d+):(?P<port>\d+).*connection refused",
         "nothing listens at {address} port {port} yet, which it needs", "invoke cluster.status says what should", symptom=True),
    _row("no-quorum", r"etcdserver: (?:no leader|request timed out)|raft: stopped|lost (?:the )?(?:tcp streaming connection|leader)|no leader",
         "etcd has no quorum", "invoke etcd.status; with their disks lost: invoke etcd.recover", symptom=True),
)  # fmt: skip
