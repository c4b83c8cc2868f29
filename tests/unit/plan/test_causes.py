"""Real last words of daemons and of systemd, and the cause that each has by name."""

from __future__ import annotations

import pytest

from kbootstrap.plan.cause_rows import ROWS
from kbootstrap.plan.causes import named, stands_out

WORDS = [
    ("flag", "Error: unknown flag: --bogus-flag", "does not know the flag --bogus-flag"),
    ("flag", "flag provided but not defined: -bogus", "does not know the flag -bogus"),
    ("port-taken", 'listen tcp 0.0.0.0:10250: bind: address already in use', "port 10250"),
    ("port-taken", '{"level":"fatal","msg":"discovery failed","error":"listen tcp 10.77.0.11:2380: bind: address already in use"}', "port 2380"),
    ("address", "listen tcp 10.77.0.99:2380: bind: cannot assign requested address", "no address 10.77.0.99"),
    ("disk-full", "write /var/lib/etcd/member/wal/0.tmp: no space left on device", "disk is full"),
    ("quota", "etcdserver: mvcc: database space exceeded", "quota"),
    ("missing", "stat: cannot statx '/usr/local/bin/kube-proxy': No such file or directory", "/usr/local/bin/kube-proxy is missing"),
    ("missing", "kube-proxy.service: Failed to locate executable /usr/local/bin/kube-proxy: No such file or directory", "/usr/local/bin/kube-proxy"),
    ("missing", "etcd.service: Failed at step EXEC spawning /usr/local/bin/etcd: No such file or directory", "/usr/local/bin/etcd"),
    ("exec-format", "kube-scheduler.service: Failed to execute /usr/local/bin/kube-scheduler: Exec format error", "damaged"),
    ("executable", "etcd.service: Failed to execute /usr/local/bin/etcd: Permission denied", "may not be executed"),
    ("file-missing", "sha256sum: /etc/kubernetes/pki/apiserver.crt: No such file or directory", "/etc/kubernetes/pki/apiserver.crt is missing"),
    ("file-missing", 'err="open /var/lib/kubelet/config.yaml: no such file or directory"', "/var/lib/kubelet/config.yaml is missing"),
    ("credential", "kube-apiserver.service: Failed to set up credentials: No such file or directory", "loads is missing"),
    ("permission", 'Error: open /etc/kubernetes/controller-manager.conf: permission denied', "/etc/kubernetes/controller-manager.conf"),
    ("pem", '{"level":"warn","error":"tls: failed to find any PEM data in certificate input"}', "damaged"),
    ("key", "tls: private key does not match public key", "does not belong"),
    ("expired", "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: "
     "current time 2027-01-01T00:00:00Z is after 2026-12-01T00:00:00Z", "2026-12-01T00:00:00Z"),
    ("not-yet", "x509: certificate has expired or is not yet valid: current time 2026-01-01T00:00:00Z is before 2026-11-01T00:00:00Z",
     "not valid before"),
    ("authority", "tls: failed to verify certificate: x509: certificate signed by unknown authority", "another CA"),
    ("name", "x509: certificate is valid for 10.77.0.11, 127.0.0.1, not 10.77.0.12", "lacks the name 10.77.0.12"),
    ("bootstrapped", '{"level":"fatal","error":"member 8e9e05c52164694d has already been bootstrapped"}', "its data are gone"),
    ("cluster-id", "request sent was ignored (cluster ID mismatch: peer[8e9e]=cdf8, local=4b1a)", "another etcd cluster"),
    ("removed", "the member has been permanently removed from the cluster", "removed"),
    ("data", "walpb: crc mismatch", "damaged"),
    ("swap", "running with swap on is not supported, please disable swap or set --fail-swap-on flag to false", "swaps"),
    ("cgroup-v1", "kubelet is configured to not run on a host using cgroup v1", "cgroup v1"),
    ("cgroup-driver", 'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got "/k8s.io/x" instead', "cgroup driver"),
    ("node-name", 'nodes "web7" is forbidden: node "w1" is not allowed to modify node "web7"', "calls itself web7"),
    ("oom", "etcd.service: A process of this unit has been killed by the OOM killer.", "memory ran out"),
    ("image", 'failed to pull image \\"registry.k8s.io/pause:3.10\\"', "registry.k8s.io/pause:3.10"),
    ("clock", "prober found high clock drift", "clock"),
    ("permission", 'E1121 20:45:41 18687 run.go:72] "command failed" err="error loading config file \\"/etc/kubernetes/scheduler.conf\\": '
     'open /etc/kubernetes/scheduler.conf: permission denied"', "/etc/kubernetes/scheduler.conf"),
    ("config", 'E1121 20:45:42 1 run.go:72] "command failed" err="error loading config file \\"w/d.conf\\": couldn\'t get version/kind; '
     'json parse error: json: cannot unmarshal string into Go value"', "configuration"),
    ("config", "containerd: failed to unmarshal TOML at row 2 column 3: toml: expected character ]", "expected character ]"),
    ("pem", 'E1121 20:45:48 19947 run.go:72] "command failed" err="error loading CA bundle for \\"client-ca-bundle::ca.crt\\": '
     'data does not contain any valid RSA or ECDSA certificates"', "damaged"),
    ("flag-value", 'Error: invalid argument "abc" for "--secure-port" flag: strconv.ParseInt: parsing "abc": invalid syntax', "--secure-port"),
    ("cluster-id", '{"level":"warn","caller":"rafthttp/http.go:511","msg":"request cluster ID mismatch","local-member-id":"c62642367487fca3"}',
     "another etcd"),
    ("cgroup-v1", 'E1121 20:45:38 1 run.go:72] "command failed" err="failed to validate kubelet configuration, error: kubelet is configured to not '
     'run on a host using cgroup v1. cgroup v1 support is unsupported and will be removed"', "cgroup v1"),
    ("panic", "panic: runtime error: index out of range [3]", "it crashed: runtime error"),
    ("config", 'failed to load kubelet config file, path: /var/lib/kubelet/config.yaml, error: strict decoding error: unknown field "bogus"',
     "configuration"),
    ("no-runtime", 'dial unix /run/containerd/containerd.sock: connect: no such file or directory', "containerd"),
    ("dropped", "dial tcp 10.77.0.11:6443: i/o timeout", "10.77.0.11 port 6443"),
    ("refused", "dial tcp 10.77.0.11:2379: connect: connection refused", "10.77.0.11 port 2379"),
    ("no-quorum", "etcdserver: no leader", "quorum"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "line", "says"), WORDS)
def test_a_line_has_a_cause_with_a_repair(name: str, line: str, says: str) -> None:
    cause = named("m1", "etcd.service", {}, ["starting", line, "etcd.service: Main process exited, code=exited, status=1/FAILURE"])
    assert cause is not None
    assert cause.id == name
    assert cause.line in line or ": " in cause.line
    assert says in cause.what
    assert cause.hint
    assert "{" not in (cause.what + cause.hint).replace("{allow_cgroup_v1: true}", "")


def test_every_symptom_gives_way_to_a_cause() -> None:
    words = ["Error: unknown flag: --x", "dial tcp 10.77.0.11:2379: connect: connection refused"]
    assert getattr(named("m1", "kubelet.service", {}, words), "id", "") == "flag"


def test_the_newest_line_decides() -> None:
    words = ["Error: unknown flag: --x", "write /x: no space left on device", "systemd: stopped"]
    assert getattr(named("m1", "kubelet.service", {}, words), "id", "") == "disk-full"


@pytest.mark.parametrize(
    ("state", "name", "hint"),
    [
        ({"LoadState": "masked"}, "masked", "invoke cluster.up"),
        (
            {"ActiveState": "inactive", "Result": "success", "StateChangeTimestampMonotonic": "12345"},
            "stopped",
            "On w1: systemctl start kubelet.service",
        ),
        ({"ActiveState": "inactive", "Result": "success", "StateChangeTimestampMonotonic": "0"}, "not-started", "invoke cluster.up"),
        ({"ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "203"}, "missing", "invoke cluster.up"),
        ({"ActiveState": "failed", "Result": "oom-kill"}, "oom", "free -m"),
    ],
)
def test_systemd_alone_may_know(state: dict[str, str], name: str, hint: str) -> None:
    cause = named("w1", "kubelet.service", state, [])
    assert cause is not None
    assert cause.id == name
    assert hint in cause.hint


@pytest.mark.parametrize("changed", ["12345", "0"], ids=["systemd knows when", "systemd has unloaded it since"])
def test_who_was_stopped_in_peace_did_not_end_for_what_its_last_lines_complain_of(changed: str) -> None:
    state = {"ActiveState": "inactive", "Result": "success", "StateChangeTimestampMonotonic": changed}
    assert getattr(named("w1", "kubelet.service", state, ["Error: unknown flag: --x"]), "id", "") == "stopped"


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        ("{ path=/opt/gone ; argv[]=/opt/gone --config=path=/x ; ignore_errors=no ; status=203 }", "its program /opt/gone is missing"),
        ("", "its program that its ExecStart= names is missing"),
    ],
)
def test_the_program_that_is_missing_is_the_one_that_systemd_was_to_run(shown: str, told: str) -> None:
    cause = named("w1", "kubelet.service", {"ExecMainStatus": "203", "ExecStart": shown}, [])
    assert cause is not None
    assert cause.what == told


def test_what_nobody_knows_has_no_cause_and_its_gravest_lines_stand_out() -> None:
    words = ["I1121 starting", "E1121 it went wrong", "bye"]
    assert named("w1", "kubelet.service", {"ActiveState": "failed", "Result": "exit-code"}, words) is None
    assert stands_out(words) == ("E1121 it went wrong",)


def test_every_cause_has_a_line_here() -> None:
    rare = {"user", "peers", "encryption", "cgroup", "files", "modules", "denied"}
    assert {row.id for row in ROWS} - {name for name, _, _ in WORDS} - {"gate"} == rare


def test_of_a_line_of_json_only_what_it_says_is_told() -> None:
    line = (
        '{"level":"fatal","caller":"etcdmain/etcd.go:183","msg":"discovery failed","error":"member c6 has already been bootstrapped","stacktrace":"go'
    )
    for text in (line, line + '"}'):
        assert getattr(named("m1", "etcd.service", {}, [text]), "line", "") == "discovery failed: member c6 has already been bootstrapped"
