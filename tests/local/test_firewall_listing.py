"""What filters, told from nft's own listings by the very text that runs on hosts: a program called nft prints what a real one printed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kbootstrap.resources import firewall
from kbootstrap.resources.firewall.look import Chain, Seen

NATIVE = """\
table inet filter {
	set blocked {
		type ipv4_addr
		elements = { 192.0.2.1 }
	}

	chain services {
		tcp dport vmap { 22 : accept, 23 : drop }
	}

	chain input {
		type filter hook input priority filter; policy accept;
		iifname "lo" accept
		ct state established,related accept
		jump services
	}

	chain forward {
		type filter hook forward priority filter; policy drop;
	}

	chain output {
		type filter hook output priority filter; policy drop;
	}
}
"""
OURS_FIRST = """\
table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		jump kbootstrap-input comment "kbootstrap ba70fb69"
		iifname "lo" accept
	}

	chain kbootstrap-input {
		iifname "lo" accept
		ct state established,related accept
		tcp dport 22 accept
	}
}
"""
OURS_LATE = """\
table inet filter {
	chain input {
		type filter hook input priority filter; policy accept;
		tcp dport 6443 reject
		jump kbootstrap-input comment "kbootstrap ba70fb69"
	}

	chain kbootstrap-input {
		tcp dport 22 accept
	}
}
"""
KUBELETS = """\
table ip filter {
	chain KUBE-FIREWALL {
		ip saddr != 127.0.0.0/8 ip daddr 127.0.0.0/8 ct status dnat counter drop
	}

	chain INPUT {
		type filter hook input priority filter; policy accept;
		counter jump KUBE-FIREWALL
	}
}
"""
UFW = """\
table ip filter {
	chain ufw-before-input {
		ct state invalid counter drop
	}

	chain INPUT {
		type filter hook input priority filter; policy drop;
		counter jump ufw-before-logging-input
		counter jump ufw-before-input
	}
}
"""
HARMLESS = """\
table inet count {
	chain input {
		type filter hook input priority 10; policy accept;
		counter comment "how many"
		goto more
	}

	chain more {
		log prefix "seen "
	}
}
"""


def chain(name: str, hook: str, tag: str, rules: int, filters: bool, table: str = "inet filter") -> Chain:
    family, _, table = table.partition(" ")
    return Chain(tool="nft", family=family, table=table, name=name, hook=hook, tag=tag, rules=rules, filters=filters)


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        pytest.param(NATIVE, (chain("input", "input", "-", 0, True), chain("forward", "forward", "-", 0, True)), id="through a jump, by policy"),
        pytest.param(OURS_FIRST, (chain("input", "input", "ba70fb69", 3, True),), id="ours first"),
        pytest.param(OURS_LATE, (chain("input", "input", "late", 1, True),), id="ours behind a rule that rejects"),
        pytest.param(KUBELETS, (chain("INPUT", "input", "-", 0, False, "ip filter"),), id="kubelet's own"),
        pytest.param(UFW, (chain("INPUT", "input", "-", 0, False, "ip filter"),), id="ufw's"),
        pytest.param(HARMLESS, (chain("input", "input", "-", 0, False, "inet count"),), id="nothing drops"),
    ],
)
def test_what_filters(listing: str, expected: tuple[Chain, ...], tmp_path: Path) -> None:
    assert look(listing, tmp_path).chains == expected


def test_tables_that_others_manage_are_theirs(tmp_path: Path) -> None:
    tables = ("ip kube-proxy", "inet firewalld", "ip kbootstrap", "ip cni_hostport", "ip6 filter")
    for table in tables:
        listing = f"table {table} {{\n\tchain c {{\n\t\ttype filter hook input priority filter; policy drop;\n\t}}\n}}\n"
        assert look(listing, tmp_path).chains == (), table


def look(listing: str, folder: Path) -> Seen:
    """The probe's answer where nft knows just one table."""
    (folder / "listing").write_text(listing)
    program = folder / "nft"
    program.write_text(f"""#!/bin/sh
case "$*" in
'-s list tables') grep -o '^table [^ ]* [^ ]*' {folder}/listing ;;
'-s list table '*) cat {folder}/listing ;;
*) exit 1 ;;
esac
""")
    program.chmod(0o755)
    for name in ("ufw", "firewall-cmd", "iptables-nft", "iptables-legacy"):  # whatever this machine has
        (folder / name).write_text("#!/bin/sh\nexit 1\n")
        (folder / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "LC_ALL": "C"}
    environment.pop("SSH_CONNECTION", None)
    done = subprocess.run(["sh"], input=firewall.probe(["openings"]), capture_output=True, text=True, env=environment, timeout=30, check=True)
    return firewall.parse(done.stdout)["openings"]
