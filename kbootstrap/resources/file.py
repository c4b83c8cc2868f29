"""Kind ``file``: small files with their whole content."""

from __future__ import annotations

from collections.abc import Sequence

from kbootstrap.model.plan import Action
from kbootstrap.model.resource import File
from kbootstrap.resources import stat
from kbootstrap.resources.difference import Difference, Order, lines, sh
from kbootstrap.resources.stat import Stat


def probe(names: Sequence[str]) -> str:
    return stat.probe(names, hashes=True)


parse = stat.parse


def _text(want: File, content: bytes | None, sha256: str) -> str | None:
    if want.secret:
        return f"sha256:{sha256}\n"
    if content is None:
        return None
    return content.decode("utf-8", "replace")


def diff(want: File, seen: Stat | None) -> Difference | None:
    if seen is None:
        return Difference(action=Action.CREATE, reason="no such file", after=_text(want, want.content, want.sha256))
    if not seen.is_file:
        return Difference(action=Action.UPDATE, reason=f"is a {seen.type}, want a file", after=_text(want, want.content, want.sha256))
    if seen.sha256 != want.sha256:
        what = "secret content" if want.secret else "content"
        also = stat.attributes(seen, want.mode, want.owner)
        reason = f"{what} differs" + (f"; {also}" if also else "")
        before, after = _text(want, seen.content, seen.sha256), _text(want, want.content, want.sha256)
        return Difference(action=Action.UPDATE, reason=reason, before=before, after=after)
    if reason := stat.attributes(seen, want.mode, want.owner):
        return Difference(action=Action.UPDATE, reason=reason, content=False)
    return None


def commands(want: File, difference: Difference) -> Order:
    if not difference.content:
        path = sh(want.name)
        return Order(text=lines(f"chown {sh(want.owner)} {path}", f"chmod {want.mode:04o} {path}"))
    put = stat.put(want.name, f"head -c {len(want.content)}", sha256=want.sha256, mode=want.mode, owner=want.owner)
    return Order(text=lines(*put), payload=want.content)
