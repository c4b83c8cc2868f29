"""What filters on a host, and what of ours is in it: one sh text, which the probe and the host's own script share, and its answer as a value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from kbootstrap.catalog import paths
from kbootstrap.catalog.ports import SSH
from kbootstrap.model.resource import Firewall
from kbootstrap.model.same import Same

UFW_RULES: Final = "/etc/ufw/before.rules"
POLICIES: Final = "/etc/firewalld/policies"
NAME: Final = "openings"
SSH_PURPOSE: Final = f"{SSH.purpose}, where it came in"

# A base chain filters when its policy is drop, or when it or a chain that it jumps to drops or rejects. kubelet's own chains (KUBE-) do not count,
# nor do they stand in our way; ufw's are opened in its own configuration. `nft -s` prints one rule a line, its chain one tab less, and of a rule that
# iptables made no comment.
_AWK: Final = r"""
function verdict(line) { return line ~ /(^|[ \t:])(drop|reject|DROP|REJECT)([ \t,"]|$)/ }
function bad(table, chain,    key, i, line, parts, n, k) {
  key = table " " chain
  if (seen[key]++ || chain ~ /^(KUBE-|ufw-|kbootstrap)/) return 0
  for (i = 1; i <= count[key]; i++) if (line_bad(table, rule[key, i])) return 1
  return 0
}
function line_bad(table, line,    rest, name) {
  if (verdict(line)) return 1
  rest = line
  while (match(rest, /(jump|goto) [^ ,]+/)) {
    name = substr(rest, RSTART + 5, RLENGTH - 5)
    rest = substr(rest, RSTART + RLENGTH)
    if (bad(table, name)) return 1
  }
  return 0
}
/^table / { table = $2 " " $3; chain = ""; next }
/^\tchain / { chain = $2; next }
/^\t[^\t]/ { chain = ""; next }
chain == "" { next }
/^\t\ttype / {
  if ($0 ~ /^\t\ttype filter hook (input|forward) /) { base[++bases] = table " " chain; hook[bases] = $4; if (/policy drop/) drops[bases] = 1 }
  next
}
/^\t\t/ { key = table " " chain; rule[key, ++count[key]] = $0 }
END {
  for (b = 1; b <= bases; b++) {
    key = base[b]; split(key, word, " "); table = word[1] " " word[2]; tag = "-"; filters = drops[b] + 0; before = 0; ufw = 0
    if (word[3] ~ /^kbootstrap/) continue
    for (i = 1; i <= count[key]; i++) {
      line = rule[key, i]
      if (line ~ /jump kbootstrap-/) {
        if (before) tag = "late"
        else tag = match(line, /comment "kbootstrap [0-9a-f]+"/) ? substr(line, RSTART + 20, RLENGTH - 21) : "?"
        continue
      }
      if (line ~ /jump ufw-before-/) ufw = 1
      split("", seen)
      if (line_bad(table, line)) { filters = 1; before = 1 }
    }
    if (ufw) filters = 0
    print "chain", "nft", key, hook[b], tag, count[table " kbootstrap-" hook[b]] + 0, filters
  }
}
"""

FUNCTIONS: Final = rf"""
ufw_active() {{ command -v ufw >/dev/null && grep -qs '^ENABLED=yes' /etc/ufw/ufw.conf; }}
firewalld_active() {{ command -v firewall-cmd >/dev/null && systemctl -q is-active firewalld; }}
chains() {{
  nft -s list tables 2>/dev/null | while read -r _ family table; do
    case "$family $table" in
    'ip kube-proxy'|*' kbootstrap'|'ip cni_hostport'|*' firewalld') continue ;;
    ip\ *|inet\ *) ;;
    *) continue ;;
    esac
    nft -s list table "$family" "$table" 2>/dev/null
  done | awk '{_AWK}' | while read -r _ tool family table chain hook tag rest; do
    if [ "$family $table" = 'ip filter' ] && listed=$(iptables-nft -w -S "$chain" 2>/dev/null); then
      tool=iptables-nft
      [ "$tag" != '?' ] || tag=$(printf '%s\n' "$listed" | sed -n 's/.* --comment "kbootstrap \([0-9a-f]*\)".*/\1/p')
    fi
    echo "chain $tool $family $table $chain $hook ${{tag:--}} $rest"
  done
  grep -qsx filter /proc/net/ip_tables_names && command -v iptables-legacy >/dev/null || return 0
  for c in INPUT.input FORWARD.forward; do
    iptables-legacy -w -S | awk -v chain=${{c%.*}} -v hook=${{c#*.}} '
      $1 == "-A" && $2 == chain && !head {{ head = 1; tag = "-"; if (match($0, /kbootstrap [0-9a-f]+/)) tag = substr($0, RSTART + 11, RLENGTH - 11) }}
      $1 == "-A" && $2 == "kbootstrap-" hook {{ n++ }}
      $1 == "-A" && $2 == chain && $4 ~ /^ufw-before/ {{ ufw = 1 }}
      $1 == "-P" && $2 == chain && $3 == "DROP" || / -j (DROP|REJECT)/ && $2 !~ /^(KUBE|ufw)-/ {{ filters = 1 }}
      END {{ print "chain iptables-legacy ip filter", chain, hook, (tag ? tag : "-"), n + 0, (ufw ? 0 : filters + 0) }}'
  done
}}
ssh_port() {{
  p=$$
  while [ "${{p:-0}}" -gt 1 ]; do
    c=$(tr '\0' '\n' <"/proc/$p/environ" 2>/dev/null | sed -n 's/^SSH_CONNECTION=//p')
    [ -z "$c" ] || {{ echo "ssh ${{c##* }}"; return; }}
    p=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$p/status" 2>/dev/null)
  done
}}
tag_in() {{ sed -n 's/.*kbootstrap \([0-9a-f][0-9a-f]*\).*/\1/p' "$@" 2>/dev/null | sort -u | tr '\n' ' ' | sed 's/ *$//'; }}
strict_tag() {{ nft list chain inet kbootstrap input 2>/dev/null | tag_in; }}
"""
"""``chains`` prints ``chain <tool> <family> <table> <chain> <hook> <our tag, - or late> <rules in our chain> <0|1: filters>``."""

_PROBE: Final = (
    "set +e\n"
    + FUNCTIONS
    + rf"""
ssh_port
! ufw_active || echo "ufw $(tag_in {UFW_RULES} | grep . || echo -)"
! firewalld_active || echo "firewalld $(tag_in {POLICIES}/kbootstrap-*.xml | grep . || echo -)"
chains
echo "strict $(strict_tag | grep . || echo -)"
s={paths.FIREWALL_SCRIPT}
[ ! -r $s ] || {{ echo "script $(sha256sum <$s | cut -d' ' -f1)"; sed -n 's/^## //p' $s; }}
true
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A base chain of somebody's; *tag* names the version of ours at its head (``-``: none, ``late``: behind a rule that drops)."""

    tool: str  # nft | iptables-nft | iptables-legacy
    family: str
    table: str
    name: str
    hook: str
    tag: str
    rules: int
    filters: bool

    def __str__(self) -> str:
        return f"{self.family} {self.table} {self.name}" if self.tool == "nft" else f"{self.tool} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """*ufw* and *firewalld*: the tag of our rules in their configuration, ``-`` for none, ``""`` where they are not active. *allowed* are the
    lines of the script that is there, *ssh_ports* where this session came in and what was let in for earlier ones."""

    ufw: str = ""
    firewalld: str = ""
    chains: tuple[Chain, ...] = ()
    strict: str = "-"
    script_sha256: str = ""
    allowed: tuple[str, ...] = ()
    ssh_ports: tuple[int, ...] = ()

    @property
    def filters(self) -> tuple[str, ...]:
        """Everything that drops, by name."""
        managers = [name for name, tag in (("ufw", self.ufw), ("firewalld", self.firewalld)) if tag]
        return (*managers, *(str(chain) for chain in self.chains if chain.filters))


def probe(names: Sequence[str]) -> str:
    del names
    return _PROBE


def parse(output: str) -> dict[str, Seen]:
    """Under whatever name it is wanted: a host has one firewall."""
    one: dict[str, str] = {}
    chains, allowed, ports = [], [], set[int]()
    for line in output.splitlines():
        word, _, rest = line.partition(" ")
        if word == "chain":
            tool, family, table, name, hook, tag, rules, filters = rest.split()
            chains.append(Chain(tool=tool, family=family, table=table, name=name, hook=hook, tag=tag, rules=int(rules), filters=filters == "1"))
        elif word in ("allow", "forward"):
            allowed.append(line)
            ports |= {int(rest.split()[1])} if line.endswith(f"({SSH_PURPOSE})") else set()
        elif word == "ssh":
            ports.add(int(rest))
        else:
            one[word] = rest
    seen = Seen(
        ufw=one.get("ufw", ""),
        firewalld=one.get("firewalld", ""),
        chains=tuple(chains),
        strict=one.get("strict", "-"),
        script_sha256=one.get("script", ""),
        allowed=tuple(allowed),
        ssh_ports=tuple(sorted(ports)),
    )
    return {NAME: seen}


def missing(seen: Seen, tag: str, counts: dict[str, int], *, strict: bool) -> list[str]:
    """Why *seen* is not what the rules of *tag* want; *counts* is how many rules our chain has by ``tool hook``."""
    return list(_missing(seen, tag, counts, strict=strict))


def _missing(seen: Seen, tag: str, counts: dict[str, int], *, strict: bool) -> Iterator[str]:
    for name, found in (("ufw", seen.ufw), ("firewalld", seen.firewalld)):
        if found and found != tag:
            yield f"{name} is active and {'does not let the cluster in' if found == '-' else 'has older rules of ours'}"
    for chain in (chain for chain in seen.chains if chain.filters):
        if chain.tag == "-":
            yield f"{chain} drops, and nothing lets the cluster in"
        elif chain.tag != tag:
            yield f"{chain}: {'a rule that drops stands before ours' if chain.tag == 'late' else 'has older rules of ours'}"
        elif chain.rules != counts[f"{'nft' if chain.tool == 'nft' else 'iptables'} {chain.hook}"]:
            yield f"{chain}: rules of ours are missing"
    if strict and seen.strict != tag:
        yield "strict: nothing drops what the cluster does not need" if seen.strict == "-" else "strict: older rules of ours"
    if not strict and seen.strict != "-":
        yield "no longer strict"


def texts(want: Firewall) -> str:
    """One line per rule, as people read it."""
    return _texts(Same(want))


@lru_cache(maxsize=16)
def _texts(same: Same[Firewall]) -> str:
    return "".join(f"{rule}\n" for rule in same.value.rules)
