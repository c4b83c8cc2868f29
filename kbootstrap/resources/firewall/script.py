"""The script on the host that lets the cluster in: ``open``, ``close``, ``watch``, ``confirm``, ``rollback``.

It holds the rules in the words of every tool, so that what was flushed, reloaded or installed since comes back without the operator's machine.
``close`` is the exact inverse of ``open``: ours is told by the word kbootstrap, so nothing needs to be saved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Final

from kbootstrap.catalog import paths
from kbootstrap.model.resource import Allow, Firewall
from kbootstrap.model.same import Same
from kbootstrap.resources.firewall import rules
from kbootstrap.resources.firewall.look import FUNCTIONS, POLICIES, SSH_PURPOSE, UFW_RULES, texts
from kbootstrap.resources.firewall.script_sh import BODY

GUARD: Final = "kb-firewall-guard"  # the transient unit that takes a change back
ARM: Final = f"systemd-run --quiet --collect --unit={GUARD}"
BEFORE: Final = f"{paths.FIREWALL_SCRIPT}.before"
UNCONFIRMED: Final = f"{paths.FIREWALL_SCRIPT}.unconfirmed"
ALIKE: Final = 16  # kinds of hosts, by roles and SSH ports, that are remembered
_HOOKS: Final = (rules.INPUT, rules.FORWARD)


def complete(want: Firewall, ssh_ports: Collection[int]) -> Firewall:
    """*want* with the ports that SSH really came in by: the table knows only the usual one. For the same value and ports the very same value: what
    is worked out from it (below) is then worked out once for all hosts alike, whose rules name every host."""
    return _complete(Same(want), tuple(ssh_ports))


@lru_cache(maxsize=ALIKE)
def _complete(same: Same[Firewall], ssh_ports: tuple[int, ...]) -> Firewall:
    want = same.value
    extra = [number for number in ssh_ports if not any(_covers(rule, number) for rule in want.rules)]
    came = (Allow(protocol="tcp", first=n, last=n, hook=rules.INPUT, networks=(), purpose=SSH_PURPOSE) for n in extra)
    return replace(want, rules=(*want.rules, *came))


def _covers(rule: Allow, number: int) -> bool:
    return rule.protocol == "tcp" and rule.hook == rules.INPUT and not rule.networks and rule.first == rule.last == number


def build(want: Firewall) -> bytes:
    """The whole script for *want*, which is ``complete``."""
    return _build(Same(want))


@lru_cache(maxsize=ALIKE)
def _build(same: Same[Firewall]) -> bytes:
    want = same.value
    parts = {
        "ALLOWED": "".join(f"## {line}\n" for line in texts(want).splitlines()),
        "FUNCTIONS": FUNCTIONS,
        "TAG": tag(want),
        "STRICT": "yes" if want.strict else "",
        "PROXY": want.proxy_table,
        "NETWORK": want.network_unit,
        "NETWORK_SCRIPT": paths.NETWORK_SCRIPT,
        "UFW": UFW_RULES,
        "POLICIES": POLICIES,
        "RUN": paths.RUN,
        "SELF": paths.FIREWALL_SCRIPT,
        "GUARD": GUARD,
        "NFT": _cases(want, rules.nft),
        "IPTABLES": _cases(want, rules.iptables),
        "UFW_BLOCK": "\n".join(_ufw(want)),
        "POLICY": _policies(want),
    }
    text = BODY
    for name, value in parts.items():
        text = text.replace(f"@{name}@", value)
    version = sha256(text.encode())[:16]
    return text.replace("@VERSION_LINE@", f"# version {version}").replace("@VERSION@", version).encode()


def tag(want: Firewall) -> str:
    """What marks rules as these: eight hexadecimal digits of everything that they say."""
    return _tag(Same(want))


@lru_cache(maxsize=ALIKE)
def _tag(same: Same[Firewall]) -> str:
    want = same.value
    said = [*(line for hook in _HOOKS for line in (hook, *rules.nft(want, hook))), _FORMAT]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:8]


_FORMAT: Final = "1"  # to be raised when the same rules are written differently


def counts(want: Firewall) -> dict[str, int]:
    """How many rules our chains have, by ``tool hook``."""
    return _counts(Same(want))


@lru_cache(maxsize=ALIKE)
def _counts(same: Same[Firewall]) -> dict[str, int]:
    want = same.value
    makers = {"nft": rules.nft, "iptables": rules.iptables}
    return {f"{name} {hook}": len(list(maker(want, hook))) for name, maker in makers.items() for hook in _HOOKS}


def sha256(content: bytes) -> str:
    """Of the script as a file."""
    return hashlib.sha256(content).hexdigest()


def _cases(want: Firewall, maker: Callable[[Firewall, str], Iterator[str]]) -> str:
    return "\n".join(f"  {hook}) cat <<'RULES'\n" + "\n".join(maker(want, hook)) + "\nRULES\n  ;;" for hook in _HOOKS)


def _ufw(want: Firewall) -> Iterator[str]:
    """Loopback and known connections ufw lets in by itself."""
    for hook in _HOOKS:
        for line in list(rules.iptables(want, hook))[2 if hook == rules.INPUT else 1 :]:
            yield f"-A ufw-before-{hook} {line.replace(' -j ', ' -m comment --comment kbootstrap -j ') if ' -j ' in line else line}"


def _policies(want: Firewall) -> str:
    """The two policy files: to the host, and through it. They stand before every zone and leave to the zones what they do not know."""
    return "\n".join(_policy(want, hook, egress) for hook, egress in ((rules.INPUT, "HOST"), (rules.FORWARD, "ANY")))


def _policy(want: Firewall, hook: str, egress: str) -> str:
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        '<policy priority="-100" target="CONTINUE">',
        f"  <short>kbootstrap-{hook}</short>",
        f"  <description>kbootstrap {tag(want)}</description>",
        '  <ingress-zone name="ANY"/>',
        f'  <egress-zone name="{egress}"/>',
        *(f"  {rule}" for rule in rules.firewalld(want, hook)),
        "</policy>",
    ]
    return f"  {hook}) cat <<'RULES'\n" + "\n".join(lines) + "\nRULES\n  ;;"


def install(size: int, *, guard_s: int) -> Iterator[str]:
    """Commands that put the script of *size* bytes from standard input into place and open by it; with *guard_s* it must be confirmed in time.

    An earlier script closes by itself first what only it knows of, should this change be taken back.
    """
    path, new = paths.FIREWALL_SCRIPT, f"{paths.FIREWALL_SCRIPT}.new"
    yield f"mkdir -p {path.rpartition('/')[0]}"
    yield f"head -c {size} >{new}; chmod 0700 {new}"
    yield f"systemctl stop {GUARD}.timer {GUARD}.service 2>/dev/null || :"
    if guard_s:
        yield f"[ ! -e {path} ] || [ -e {UNCONFIRMED} ] || cp -a {path} {BEFORE}"
        yield f": >{UNCONFIRMED}"
    yield f"sync {new}; mv -f {new} {path}"
    if guard_s:
        yield f"systemctl reset-failed {GUARD}.service 2>/dev/null || :"
        yield f"{ARM} --on-active={guard_s} --timer-property=AccuracySec=100ms sh {path} rollback"
    undo = f" || {{ systemctl stop {GUARD}.timer; sh {path} rollback; exit 1; }}" if guard_s else ""
    yield f"sh {path} open{undo}"
