"""The sh texts of an upgrade: keep what a turn replaces, put it back, try the new programs' flags, and see whether units stay up."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from kbootstrap.catalog import paths
from kbootstrap.errors import Problem
from kbootstrap.model.cluster import ClusterSpec
from kbootstrap.model.desired import Desired
from kbootstrap.model.host import Host
from kbootstrap.model.plan import Gate
from kbootstrap.model.resource import Binary, File
from kbootstrap.plan.checks.gates import AUTOPSY, kubectl
from kbootstrap.plan.upgrade import Turn
from kbootstrap.render import apiserver, controller_manager, kubelet, proxy, scheduler
from kbootstrap.resources.difference import sh

STEADY_S: Final = 5
RESTARTS: Final = 3

# A link costs nothing: the new content comes under the old name by a rename. What an interrupted run kept already is older, and stays.
_KEEP: Final = """\
umask 077
for p in {paths}; do
  k={place}$p
  [ ! -e "$k" ] && [ ! -e "$k.absent" ] || continue
  mkdir -p "${{k%/*}}"
  if [ -e "$p" ] || [ -L "$p" ]; then
    rm -rf "$k.new"; cp -al -- "$p" "$k.new" 2>/dev/null || {{ rm -rf "$k.new"; cp -a -- "$p" "$k.new"; }}
    mv -T "$k.new" "$k"
  else
    : > "$k.absent"
  fi
done
sync -f {state}
"""

_PUT_BACK: Final = """\
cd {place} || exit 1
find . -name '*.new' -prune -o ! -type d -print | while IFS= read -r f; do
  p=${{f#.}}
  case "$p" in
    *.absent) rm -rf -- "${{p%.absent}}" ;;
    *) n="${{p%/*}}/.${{p##*/}}.kb-new"; rm -rf -- "$n"; cp -a -- {place}"$p" "$n" && mv -fT -- "$n" "$p" || exit 1 ;;
  esac
done || exit 1
rm -f {hashes}
systemctl daemon-reload
for u in {units}; do systemctl reset-failed "$u" 2>/dev/null; systemctl --no-block restart "$u" || exit 1; done
cd /; rm -rf {place}
"""

_STEADY: Final = """\
exec </dev/null
begun=$(date +%s) same=0 last= first=$(systemctl show -p NRestarts --value {units} | tr '\\n' ' ')
while [ $(( $(date +%s) - begun )) -lt {deadline_s} ]; do
  now=$(systemctl show -p MainPID,ActiveState,NRestarts --value {units} | tr '\\n' ' ')
  case "$now" in *activating*|*failed*|*inactive*|*deactivating*) same=0 ;; *) [ "$now" = "$last" ] && same=$((same+1)) || same=0 ;; esac
  [ "$same" -lt {samples} ] || exit 0
  set -- $first
  for n in $(systemctl show -p NRestarts --value {units}); do
    [ "$n" -lt $(( $1 + {restarts} )) ] || begun=0
    shift
  done
  last=$now; sleep 0.5
done
out='does not stay up'
{autopsy}exit 1
"""

# What is installed already must not be touched: even a mode that was set before makes another ctime, which the records of units compare.
_TRY: Final = """\
try() {{
  f={blobs}/$1; [ -e "$f" ] || f=$2
  [ -e "$f" ] || return 0
  [ -x "$f" ] || chmod u+x "$f"
  b=$2; shift 2
  said=$(timeout 30 "$f" "$@" --help 2>&1 >/dev/null </dev/null); code=$?
  printf '%s\\n' "$said" | sed -n "s#^Flag .* has been deprecated#0 ${{b##*/}} &#p" | cut -c1-600
  [ $code = 0 ] || echo "$code ${{b##*/}} $(printf '%s\\n' "$said" | tail -n 1 | cut -c1-600)"
}}
"""

_FLAG: Final = re.compile(r"^(\d+) (\S+) (.*)$")
_UNKNOWN: Final = re.compile(r"unknown (?:shorthand )?flag: (?:\S+ in )?(-\S+)")
_DEPRECATED: Final = re.compile(r"Flag (--\S+) has been deprecated, (.*)$")
_NOT_RUN: Final = ("124", "126", "127")  # too slow, or a store from which nothing may be executed
_METRIC: Final = re.compile(r"^apiserver_requested_deprecated_apis\{(?P<labels>[^}]*)\} 1", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')


def place(wave: str) -> str:
    """Where a host keeps what its turn in *wave* replaces, until that turn ends."""
    return f"{paths.PREVIOUS}/{_folder(wave)}"


def _folder(wave: str) -> str:
    return wave.lower().replace(" ", "-")


def keep(wave: str, turn: Turn) -> str:
    """Every file and program that *turn* changes, kept as it is now."""
    files = [change.key for change in turn.changes if isinstance(change.resource, (File, Binary))]
    return _KEEP.format(paths=sh(*files), place=place(wave), state=paths.STATE) if files else ":\n"


def put_back(wave: str, turn: Turn) -> str:
    """What ``keep`` kept, under its own names again, and the units that *turn* started anew, started with it."""
    return _PUT_BACK.format(place=place(wave), hashes=paths.HASHES, units=sh(*turn.units))


def finished(wave: str) -> str:
    """The turn ended well: what it replaced is for a rollback from now on. A later turn that fails is put back to what ran before it, not to that."""
    done = f"{paths.PREVIOUS}/done"
    return f"[ ! -d {place(wave)} ] || {{ mkdir -p {done} && rm -rf {done}/{_folder(wave)} && mv -T {place(wave)} {done}/{_folder(wave)}; }}\n"


def steady(units: Sequence[str], deadline_s: int = 90) -> Gate:
    """A gate: *units* run, and the same processes for some seconds. One that starts again and again fails it within seconds."""
    quoted = sh(*units)
    autopsy = AUTOPSY.format(label="units-steady", units=quoted)
    samples = STEADY_S * 2
    text = _STEADY.format(units=quoted, deadline_s=deadline_s, samples=samples, restarts=RESTARTS, autopsy=autopsy)
    return Gate(name="units-steady", text=text, deadline_s=deadline_s + 60.0)


def arguments(spec: ClusterSpec, host: Host) -> Mapping[str, Sequence[str]]:
    """Program → the flags that it is started with on *host*."""
    found: dict[str, Sequence[str]] = {"kubelet": kubelet.arguments(spec, host), "kube-proxy": proxy.arguments(host)}
    if host.is_master:
        found["kube-apiserver"] = apiserver.arguments(spec, host)
        found["kube-controller-manager"] = controller_manager.arguments(spec, host)
        found["kube-scheduler"] = scheduler.arguments(host)
    return found


def try_flags(desired: Desired, host: str, given: Mapping[str, Sequence[str]]) -> str:
    """Each new program of *host* reads the flags that it will be *given* and ends: ``--help`` comes last, and flags are read in their order."""
    found = {posixpath.basename(r.name): r for r in desired.resources(host) if isinstance(r, Binary)}
    calls = [sh("try", found[name].blob.sha256, found[name].name, *mine) for name, mine in given.items()]
    return _TRY.format(blobs=paths.BLOBS) + "\n".join(calls) + "\ntrue\n"


def flags_told(host: str, output: str, target: str) -> tuple[list[Problem], list[str]]:
    """What ``try_flags`` printed: flags that *target* refuses, and a line for each that it calls deprecated."""
    refused, deprecated = [], []
    for line in output.splitlines():
        if not (match := _FLAG.match(line)):
            continue
        code, name, said = match.groups()
        if old := _DEPRECATED.search(said):
            deprecated.append(f"{name} {old[1]} is deprecated in {target}: {old[2]}")
        elif code in _NOT_RUN:
            deprecated.append(f"{name}: its flags could not be tried before ({said})")
        else:
            flag = _UNKNOWN.search(said)
            what = f"{name} of {target} does not know the flag {flag[1]}" if flag else f"{name} of {target} refuses its flags: {said}"
            refused.append(Problem(where=host, what=what, hint="It is in extra_args: of cluster.yml (invoke inventory.show tells where)."))
    return refused, deprecated


def deprecated_apis(host: Host) -> str:
    """sh text: which APIs that will go were asked of the API server of *host* since it started."""
    return f"{kubectl(host)} --request-timeout=20s get --raw /metrics 2>/dev/null | grep '^apiserver_requested_deprecated_apis' || true\n"


def apis_told(output: str, target_minor: int) -> list[str]:
    """A line for each that has an end, those first that the new version no longer has."""
    gone, later = [], []
    for match in _METRIC.finditer(output):
        label = dict(_LABEL.findall(match["labels"]))
        name = f"{label.get('resource', '')}.{label.get('version', '')}.{label.get('group') or 'core'}"
        removed = label.get("removed_release", "")
        if removed and int(removed.split(".")[1]) <= target_minor:
            gone.append(f"{name} was asked for, and is gone since {removed}: who asks for it fails after the upgrade")
        elif removed:
            later.append(f"{name} was asked for, and goes with {removed}")
    return list(dict.fromkeys((*gone, *later)))


def offer(wanted: Iterable[str]) -> str:
    """Of what the last change of the version replaced, whatever has one of the *wanted* sha256 lies in the store of blobs again."""
    names = " ".join(wanted)
    return f"""\
[ -d {paths.PREVIOUS} ] || exit 0
mkdir -p {paths.BLOBS}
find {paths.PREVIOUS} -type f -size +1M -exec sha256sum {{}} + | while read -r sum file; do
  case " {names} " in *" $sum "*) ln -f "$file" {paths.BLOBS}/$sum ;; esac
done
"""


def begin() -> str:
    """What the last change of the version replaced goes: from here on hosts keep what this one replaces."""
    return f"rm -rf {paths.PREVIOUS}\n"
