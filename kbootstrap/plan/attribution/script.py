"""What a host is asked while the probes run again: one program that looks, traces until its input ends, and looks again.

The trace needs marks on packets, so a table of ours exists meanwhile: it marks the probes' packets only, decides nothing, and goes with the
program, however that ends (its channel's end is the end of its input). Its empty last chains tell what came through all others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address
from typing import Final

from kbootstrap.plan.attribution.flow import Flow

TABLE: Final = "kbootstrap_trace"
OUT, IN, ARRIVED, FORWARDED, LEFT = "out", "in", "arrived", "forwarded", "left"  # our chains
FIRST, LAST = -500, 2**31 - 1  # before connection tracking and defragmentation, after everything
PER_SECOND: Final = 1000  # marked packets of a kind that daemons send too (datagrams, answers)
READY: Final = "ready"
TRACE: Final = "trace"
_NETFILTER, _TRACES = 12, 1 << 8  # of /proc/net/netlink: NETLINK_NETFILTER, and the bit of NFNLGRP_NFTRACE
_TABLES: Final = "raw mangle nat filter security"
_SAVE: Final = """\
kind=$1
case $(iptables -V 2>/dev/null) in *nf_tables*) plain=nft;; *) plain=legacy;; esac
if command -v "iptables-$kind-save" >/dev/null; then save=iptables-$kind-save; elif [ $plain = "$kind" ]; then save=iptables-save; else exit 0; fi
command -v "$save" >/dev/null || exit 0
"$save" -c
"""


def table(flows: Iterable[Flow]) -> str:
    """nft's text of our table: *flows* from or to this host, both their questions and their answers."""
    wanted = sorted({(f.source, f.target, f.protocol, f.port) for f in flows})
    pairs = ", ".join(f"{source} . {target} . {protocol} . {port}" for source, target, protocol, port in wanted)
    goals = ", ".join(sorted({f"{target} . {protocol} . {port}" for _, target, protocol, port in wanted}))
    limit = f"limit rate {PER_SECOND}/second burst {PER_SECOND} packets"
    answer = f"ip daddr . ip saddr . meta l4proto . th sport @pairs {limit} meta nftrace set 1"
    first = "tcp flags & (syn | ack) == syn"

    def base(chain: str, hook: str, priority: int, *rules: str) -> str:
        body = "".join(f"\t\t{rule}\n" for rule in rules)
        return f"\tchain {chain} {{\n\t\ttype filter hook {hook} priority {priority}; policy accept;\n{body}\t}}\n"

    def marks(match: str) -> tuple[str, str, str, str]:
        return (
            f"{first} {match} meta nftrace set 1",
            f"meta l4proto udp {match} {limit} meta nftrace set 1",
            f"tcp flags & (syn | rst) != 0x0 {answer}",
            f"meta l4proto udp {answer}",
        )

    return (
        f"table inet {TABLE} {{\n"
        f"\tset pairs {{\n\t\ttype ipv4_addr . ipv4_addr . inet_proto . inet_service\n\t\telements = {{ {pairs} }}\n\t}}\n"
        f"\tset goals {{\n\t\ttype ipv4_addr . inet_proto . inet_service\n\t\telements = {{ {goals} }}\n\t}}\n"
        + base(OUT, "output", FIRST, *marks("ip daddr . meta l4proto . th dport @goals"))
        + base(IN, "prerouting", FIRST, *marks("ip saddr . ip daddr . meta l4proto . th dport @pairs"))
        + base(ARRIVED, "input", LAST)
        + base(FORWARDED, "forward", LAST)
        + base(LEFT, "postrouting", LAST)
        + "}\n"
    )


def before(seen: Sequence[IPv4Address]) -> list[tuple[str, str]]:
    """(id, sh text) of what is read before the probes; *seen* are the other ends of this host's flows."""
    return [
        ("ways", "".join(f"echo to {address}; ip -4 route get {address} 2>&1 || true\n" for address in seen)),
        ("special", "for t in blackhole unreachable prohibit throw; do ip -4 route show table all type $t || true; done\n"),
        ("listeners", "! command -v ss >/dev/null || ss -Hlntup\n"),
        ("iptables", "iptables -V 2>/dev/null || true\n"),
        ("chains", "nft list chains 2>/dev/null || true\n"),
        ("handles", f"for t in {_TABLES}; do nft -a list table ip $t 2>/dev/null || true; done\n"),
        ("ufw", "[ ! -r /etc/ufw/user.rules ] || grep -E '^(### tuple|-A)' /etc/ufw/user.rules || true\n"),
        *_counted("before"),
    ]


def after() -> list[tuple[str, str]]:
    """What is read once the probes are through."""
    return [*_counted("after"), ("neighbours", "ip -4 neigh show\n")]


def _counted(when: str) -> list[tuple[str, str]]:
    """Counters, read before and after. Legacy iptables is asked only where its tables are: a listing would load them."""
    return [
        (f"legacy-{when}", f'[ -n "$(cat /proc/net/ip_tables_names 2>/dev/null)" ] || exit 0\nset -- legacy\n{_SAVE}'),
        (f"nft-{when}", f"set -- nft\n{_SAVE}"),
        (f"drops-{when}", "cat /proc/net/netstat /proc/net/stat/nf_conntrack 2>/dev/null || true\n"),
    ]


def watch(flows: Iterable[Flow]) -> str:
    """sh text that traces *flows* to stdout in the background until ``kb_gone`` or its shell's end; ``kb_why`` says why it cannot."""
    return f"""\
monitor='' made='' kb_why=''
kb_gone() {{
    [ -z "$monitor" ] || {{ kill "$monitor"; wait "$monitor"; }} 2>/dev/null
    [ -z "$made" ] || nft delete table inet {TABLE}
    monitor='' made=''
}}
trap kb_gone EXIT
trap 'exit 143' HUP INT TERM
kb_listens() {{
    while read -r _ protocol _ groups _; do
        [ "$protocol" != {_NETFILTER} ] || [ $((0x$groups & {_TRACES})) = 0 ] || return 0
    done </proc/net/netlink
    return 1
}}
if ! command -v nft >/dev/null; then kb_why='there is no nft'
elif ! kb_said=$(nft -f - <<'KB_TABLE' 2>&1
add table inet {TABLE}
delete table inet {TABLE}
{table(flows)}KB_TABLE
); then kb_why="nft: $kb_said"
else
    made=1
    stdbuf -oL nft -a monitor trace 2>&1 & monitor=$!
    n=0
    until kb_listens; do
        [ $((n += 1)) -le 60 ] || {{ kb_why='nft monitor does not listen'; break; }}
        sleep 0.05
    done
fi
"""
