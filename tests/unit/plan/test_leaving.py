"""From a ledger to the way out: nothing that the ledger does not name is touched, and what was there before comes back."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from kbootstrap.catalog import paths
from kbootstrap.model.facts import Facts, Observed
from kbootstrap.model.plan import Action, Change
from kbootstrap.model.resource import Directory, File, Resource, Service, Sysctl
from kbootstrap.plan import before
from kbootstrap.plan.leaving import FORGET, Leaving, leave
from kbootstrap.plan.ledger import Ledger, backup, parse, record
from kbootstrap.resources import service, stat

SETTINGS = {"sysctl/vm.overcommit_memory": "0", "sysctl/net.ipv4.ip_forward": "0", "sysctl/net.ipv4.conf.all.accept_redirects": "1"}


def way(entries: dict[str, tuple[str, Any]], *, sysctl: str = "all") -> Leaving:
    """The way out of m1 with a ledger of key → (kind, before)."""
    ledger = Ledger(cluster_id="id", cluster="lab", version="1", entries={k: {"kind": kind, "before": was} for k, (kind, was) in entries.items()})
    return leave("m1", parse(ledger.dump().decode(), "m1"), sysctl=sysctl)


def step(leaving: Leaving, name: str) -> str:
    return next((change.commands for change in leaving.changes if change.key == f"leave/{name}"), "")


def test_units_stop_before_anything_is_removed_and_systemd_learns_of_it_last() -> None:
    leaving = way({"service/etcd.service": ("service", None), "/etc/x": ("file", None), "user/etcd": ("user", None)})
    names = [change.key.removeprefix("leave/") for change in leaving.changes]
    assert names == ["units", "processes", "mounts", "network", "cgroups", "files", "users", "systemd", "proof"]
    assert {change.action for change in leaving.changes} == {Action.DELETE}


def test_files_data_and_directories_name_nothing_but_what_the_ledger_names() -> None:
    odd = "/etc/with blank; rm -rf $(x) '*"
    entries: dict[str, tuple[str, Any]] = {
        "/etc/ours": ("file", None),
        odd: ("file", None),
        "/usr/local/bin/etcd": ("binary", backup("/usr/local/bin/etcd")),
        "data//var/lib/etcd": ("data", None),
        "/etc/kubernetes": ("directory", None),
    }
    leaving = way(entries)
    text = "".join(step(leaving, name) for name in ("files", "data", "directories"))
    known = {odd, "/etc/ours", "/usr/local/bin/etcd", "/var/lib/etcd", "/etc/kubernetes", "/dev/null", backup("/usr/local/bin/etcd")}
    known |= {stat.temporary(path) for path in (odd, "/etc/ours", "/usr/local/bin/etcd")}
    words = {word.rstrip(";") for word in shlex.split(text.replace("2>/dev/null", ""))}
    assert {word for word in words if word.startswith("/")} <= known
    assert odd in words


def test_a_directory_goes_after_those_below_it() -> None:
    text = step(way(dict.fromkeys(("/etc/cni", "/etc/cni/net.d", "/etc/cni.d"), ("directory", None))), "directories")
    assert text.index("rmdir -- /etc/cni/net.d") < text.index("rmdir -- /etc/cni ")


@pytest.mark.parametrize(
    ("sysctl", "written"),
    [
        ("all", ["net.ipv4.ip_forward", "net.ipv4.conf.all.accept_redirects", "vm.overcommit_memory"]),
        ("namespaced", ["net.ipv4.ip_forward", "net.ipv4.conf.all.accept_redirects"]),
        ("leave", []),
    ],
)
def test_settings_come_back_where_the_inventory_lets_us_write_them_and_ip_forward_resets_none(sysctl: str, written: list[str]) -> None:
    text = step(way({key: ("sysctl", was) for key, was in SETTINGS.items()}, sysctl=sysctl), "settings")
    files = [line.rpartition("> /proc/sys/")[2].replace("/", ".") for line in text.splitlines() if line]
    assert files == written


def test_a_setting_that_was_not_there_is_not_written() -> None:
    assert not step(way({"sysctl/net.bridge.bridge-nf-call-iptables": ("sysctl", None)}), "settings")


def test_a_group_that_was_there_before_stays_when_its_user_goes() -> None:
    assert "groupdel" in step(way({"user/kube": ("user", None)}), "users")
    text = step(way({"user/kube": ("user", None), "group/kube": ("group", True)}), "users")
    assert "groupdel" not in text
    assert text.index("usermod --gid $(getent group nogroup >/dev/null && echo nogroup || echo nobody) kube") < text.index("userdel kube")


def test_a_unit_that_ran_before_runs_again_and_one_that_did_not_does_not() -> None:
    leaving = way({
        "service/containerd.service": ("service", {"enabled": True, "active": True}),
        "service/kubelet.service": ("service", {"enabled": False, "active": False}),
        "service/etcd.service": ("service", None),
    })  # fmt: skip
    text = step(leaving, "systemd")
    assert "enable containerd.service" in text
    assert "start containerd.service" in text
    assert "start kubelet" not in text
    assert "start etcd" not in text
    assert text.startswith("systemctl daemon-reload\n")
    assert leaving.restores == ("containerd.service",)


def test_what_stays_is_said() -> None:
    leaving = way({
        "package/haproxy": ("package", None),
        "module/overlay": ("module", None),
        "data//var/lib/kubelet": ("data", {"mode": "0711", "owner": "root:root", "names": ["b", "a"]}),
    })  # fmt: skip
    assert leaving.stays == ("package haproxy", "kernel module overlay until the next boot", "/var/lib/kubelet/{a,b}, which was there before")
    assert leaving.removes == {"file": 0, "unit": 0, "directory": 0, "user": 0}


def test_tables_of_nftables_that_were_there_keep_their_chains() -> None:
    text = step(way({"nft/ip filter": ("nft", True), "nft/ip filter INPUT": ("nft", True)}), "network")
    assert "delete table ip filter" not in text
    assert "delete chain ip filter INPUT" not in text
    assert "delete chain ip filter OUTPUT" in text
    assert "delete table ip6 filter" in text
    assert "flush ruleset" not in text


def test_the_ledger_itself_goes_last() -> None:
    assert FORGET.index(paths.STATE) < FORGET.index(f"rm -f -- {paths.LEDGER}")
    assert all(paths.LEDGER not in change.commands for change in way({"/etc/x": ("file", None)}).changes)


# --- what the ledger must hold for that


def change(resource: Resource, **kw: Any) -> Change:
    return Change(host="m1", key=resource.key, action=Action.UPDATE, reason="", commands="", resource=resource, **kw)


def test_a_first_ledger_holds_what_was_there_and_later_ones_do_not_forget_it() -> None:
    answer = (
        "directory 711 root:root /var/lib/kubelet\nholds keep me\nholds pods\nnone /var/lib/etcd\n"
        "sysctl /proc/sys/net/ipv4/ip_forward 0\ngroup kube\nnft ip filter\nnft ip filter INPUT\n"
    )
    seen: dict[str, dict[str, Any]] = {
        "before": before.parse(answer),
        "directory": {"/etc/cni": stat.Stat(type="directory", mode=0o700, owner="a:b")},
        "file": {"/etc/x": stat.Stat(type="regular file", mode=0o644, owner="root:root")},
        "service": {"a.service": service.Seen(state={"ActiveState": "active", "UnitFileState": "enabled"}, started={}, now={})},
        "sysctl": {"net.ipv4.ip_forward": "0"},
    }
    observed = Observed(host="m1", facts=Facts(), kinds=seen)
    changes = [
        change(Directory(name="/etc/cni")),
        change(File(name="/etc/x", content=b"")),
        change(File(name="/etc/new", content=b"")),
        change(Service(name="a.service", inputs={})),
        change(Sysctl(name="net.ipv4.ip_forward", value="1"), before="0"),
    ]
    entries = record(Ledger(), changes, observed).entries
    assert {key: value["before"] for key, value in entries.items()} == {
        "data//var/lib/kubelet": {"mode": "0711", "owner": "root:root", "names": ["keep me", "pods"]},
        "data//var/lib/etcd": None,
        "sysctl/net.ipv4.ip_forward": "0",
        "group/kube": True,
        "nft/ip filter": True,
        "nft/ip filter INPUT": True,
        "/etc/cni": {"mode": "0700", "owner": "a:b"},
        "/etc/x": backup("/etc/x"),
        "/etc/new": None,
        "service/a.service": {"enabled": True, "active": True},
    }
    later = Observed(host="m1", facts=Facts(), kinds={"directory": {"/etc/cni": stat.Stat(type="directory", mode=0o755, owner="root:root")}})
    assert record(Ledger(cluster_id="id", entries=entries), changes, later).entries == entries
