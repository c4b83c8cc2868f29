"""By which key each secret in etcd is sealed: asked of a member in pages, of each value only the name of its key; and how one is sealed anew.

An API server that reads a value by a key that is not its first one writes it back at the next update, even one that changes nothing (its storage
calls the value stale). So an empty patch of every secret is enough, and no secret leaves its master.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kbootstrap.model.host import Host
from kbootstrap.plan.checks.gates import etcdctl, kubectl
from kbootstrap.resources.difference import sh

PREFIX: Final = "/registry/secrets/"
PLAIN: Final = "plain"
PAGE: Final = 200
_KIND: Final = "k8s:enc:secretbox:v1:"

# Every name is of a-z, 0-9, «-», «.»: «!» comes before them all, so what is behind «<last>!» is the next page.
_SCAN: Final = r"""
exec </dev/null
next={prefix}
while :; do
  page=$({{ {etcdctl} --command-timeout=30s get "$next" {end} --limit={page} -w fields; echo "ended $?"; }} | sed -n -e '/^ended /p' \
    -e 's/^"Key" : "\(.*\)"$/\1/p' -e 's/^"Value" : "\(k8s:enc:[a-z0-9]*:v[0-9]*:[^:"\\]*\):.*/ \1/p' -e t -e 's/^"Value" : .*/ {plain}/p')
  case "$page" in *"ended 0") ;; *) exit 1 ;; esac
  printf '%s\n' "$page"
  last=$(printf '%s\n' "$page" | sed -n '/^\//p' | tail -n 1)
  [ -n "$last" ] || break
  next="$last!"
done
"""


def scan(host: Host) -> str:
    """sh text that tells every secret's path in etcd and how its value begins, by the member of *host*; reads what a majority agreed to."""
    return _SCAN.format(prefix=PREFIX, end=f"{PREFIX[:-1]}0", etcdctl=etcdctl(host), page=PAGE, plain=PLAIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """*by*: path below ``/registry/secrets/`` (``namespace/name``) → the name of the key that sealed it, or PLAIN."""

    by: Mapping[str, str]

    @property
    def counts(self) -> Mapping[str, int]:
        """Key → how many secrets it seals."""
        return dict(Counter(self.by.values()))

    def others(self, name: str) -> tuple[str, ...]:
        """The secrets that the key called *name* has not sealed."""
        return tuple(path for path, key in self.by.items() if key != name)

    def strange(self, known: Sequence[str]) -> tuple[str, ...]:
        """Those whose key is none of *known*."""
        return tuple(f"{path} ({key})" for path, key in self.by.items() if key not in known)


def parse(output: str) -> Scan:
    """From what ``scan`` prints. A value sealed by another kind of provider keeps its whole prefix as its key's name."""
    found: dict[str, str] = {}
    path = ""
    for line in output.splitlines():
        if line.startswith(PREFIX):
            path = line.removeprefix(PREFIX)
        elif line.startswith(" ") and path:
            found[path] = line[1:].removeprefix(_KIND)
            path = ""
    return Scan(by=found)


def pages(stale: Sequence[str]) -> Iterator[bytes]:
    """*stale* (``namespace/name``) as lists of stubs that kubectl takes, so many at a time that none lasts long."""
    for first in range(0, len(stale), PAGE):
        named = [path.split("/", 1) for path in stale[first : first + PAGE]]
        items = [{"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": space, "name": name}} for space, name in named]
        yield json.dumps({"apiVersion": "v1", "kind": "List", "items": items}).encode()


def rewrite(host: Host) -> str:
    """sh text that writes every secret of a page, its standard input, as it is; one that was deleted meanwhile fails alone."""
    return f"{kubectl(host)} --request-timeout=30s patch -f - --type=merge -p {sh('{}')} -o name\n"


def readable(host: Host) -> str:
    """sh text that has the API server of *host* open every secret."""
    return f"{kubectl(host)} --request-timeout=60s get secrets --all-namespaces --chunk-size={PAGE} --no-headers >/dev/null\n"
