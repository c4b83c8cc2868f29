"""Kind ``binary``: large executables, hashed again only when their stat changed.

The host keeps what it hashed in ``paths.HASHES``, a line ``inode size mtime ctime sha256 path`` each (times with nanoseconds, so that
a byte flipped in the second of the installation is still noticed). The record is a cache: losing it costs one hashing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kbootstrap.catalog import paths
from kbootstrap.model.plan import Action
from kbootstrap.model.resource import Binary
from kbootstrap.resources import stat
from kbootstrap.resources.difference import Difference, Order, lines, sh
from kbootstrap.resources.stat import Stat

# The record becomes one shell variable per inode: no fork and no search per file (dash takes 5 ms to search 2 KB by pattern).
_PROBE = """\
[ ! -r {hashes} ] || while read -r inode rest; do
  case "$inode" in *[!0-9]*|'') ;; *) eval "kb_$inode=\\$rest" ;; esac
done < {hashes}
stat -c '%i %s %.9Y %.9Z|%F|%a|%U:%G|%n' -- {names} 2>/dev/null | {{
  all= fresh=
  while IFS='|' read -r key type mode owner p; do
    case "$type" in regular*) ;; *) echo "-|$type|$mode|$owner|$p"; continue ;; esac
    h= inode=${{key%% *}}
    eval "known=\\${{kb_$inode-}}"
    case "$known" in "${{key#* }} "*" $p") h=${{known#"${{key#* }} "}}; h=${{h%" $p"}} ;; esac
    case "$h" in *[!0-9a-f]*) h= ;; esac
    [ "${{#h}}" = 64 ] || {{ h=$(sha256sum -- "$p"); h=${{h%% *}}; fresh=1; }}
    all="$all$key $h $p
"
    echo "$h|$type|$mode|$owner|$p"
  done
  [ -z "$fresh" ] || [ ! -d {state} ] || printf '%s' "$all" 2>/dev/null > {hashes} || :
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """*sha256* is ``-`` for what is not a regular file."""

    sha256: str
    stat: Stat


def probe(names: Sequence[str], *, deep: bool = False) -> str:
    """With *deep* nothing recorded is believed."""
    hashes = "/dev/null" if deep else paths.HASHES
    return _PROBE.format(hashes=hashes, names=sh(*names), state=paths.STATE)


def parse(output: str) -> dict[str, Seen]:
    seen = {}
    for line in output.splitlines():
        if line.count("|") >= 4:
            digest, kind, mode, owner, path = line.split("|", 4)
            seen[path] = Seen(sha256=digest, stat=Stat(type=kind, mode=int(mode, 8), owner=owner))
    return seen


def diff(want: Binary, seen: Seen | None) -> Difference | None:
    if seen is None:
        return Difference(action=Action.CREATE, reason=f"no such file, want {want.blob.sha256[:12]}")
    if not seen.stat.is_file:
        return Difference(action=Action.UPDATE, reason=f"is a {seen.stat.type}, want a file")
    if seen.sha256 != want.blob.sha256:
        return Difference(action=Action.UPDATE, reason=f"sha256 {seen.sha256[:12]}, want {want.blob.sha256[:12]}")
    if reason := stat.attributes(seen.stat, want.mode, want.owner):
        return Difference(action=Action.UPDATE, reason=reason, content=False)
    return None


def commands(want: Binary, difference: Difference) -> Order:
    """The blob was verified when it arrived in the store; moving it keeps one copy on the disk, so a second path is copied from the first.

    What is recorded was verified: a wrong record would be believed for ever.
    """
    path = sh(want.name)
    if not difference.content:
        return Order(text=lines(f"chown {sh(want.owner)} {path}", f"chmod {want.mode:04o} {path}"))
    new, blob = sh(stat.temporary(want.name)), sh(f"{paths.BLOBS}/{want.blob.sha256}")
    other = f"""$(sed -n 's/^.* {want.blob.sha256} //p' {paths.HASHES} | tail -n 1)"""
    record = f"""printf '%s %s %s\\n' "$(stat -c '%i %s %.9Y %.9Z' -- {path})" {want.blob.sha256} {path} >> {paths.HASHES}"""
    moves = (
        f"mkdir -p -m 0755 -- {sh(want.name.rsplit('/', 1)[0])}",
        f"rm -rf -- {new}",
        f"""if [ -e {blob} ]; then mv -T -- {blob} {new}; else cp -- "{other}" {new}; sha256sum < {new} | grep -q '^{want.blob.sha256} '; fi""",
        f"chown {sh(want.owner)} {new}; chmod {want.mode:04o} {new}",
        *stat.replace(want.name),
        f"! selinuxenabled 2>/dev/null || restorecon -- {path}",  # a renamed file keeps the label of the store, from which systemd runs nothing
        record,
    )
    return Order(text=lines(*moves), blob=want.blob)
