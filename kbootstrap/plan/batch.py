"""Changes → framed steps. Small things of one kind that follow each other become one step, since on a host every fork counts: a file written
alone costs ten processes, in a group two. A failure still names its own change: each announces itself in ``at``, and the step's last line says it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from kbootstrap.model.plan import Action, Change
from kbootstrap.model.resource import Directory, File
from kbootstrap.resources import stat
from kbootstrap.resources.difference import sh

Step = tuple[str, str, float]  # id, sh text, deadline in seconds

_ALONE = "exec </dev/null\n"  # the payload on standard input belongs to others: a package's scripts must not eat it
_TRAP = """clean() { :; }; trap '[ $? = 0 ] || { echo "in $at"; clean; }' EXIT\n"""


def _group(change: Change) -> str:
    """What may go together: new directories, and whole files that need no more than their content."""
    if isinstance(change.resource, Directory) and change.action is Action.CREATE:
        return "directories"
    if isinstance(change.resource, File) and change.payload and change.action is Action.CREATE:
        return "files"
    return ""


def steps(changes: Sequence[Change]) -> list[Step]:
    """The steps of one stream, in the order of *changes*; together they read exactly the changes' payloads from standard input."""
    found: list[Step] = []
    for kind, members in groupby(changes, _group):
        group = list(members)
        if not kind or len(group) == 1:
            found += [(c.key, c.commands if c.payload else _ALONE + c.commands, c.deadline_s) for c in group]
        else:
            text = _ALONE + _directories(group) if kind == "directories" else "".join(_files(group))
            found.append((f"{len(group)} {kind}", _TRAP + text, 60.0 + len(group)))
    return found


def _directories(group: Iterable[Change]) -> str:
    return "".join(f"at={sh(change.key)}\n{change.commands}" for change in group)


def _files(group: Sequence[Change]) -> Iterator[str]:
    """All contents to new files with their final modes, one check of all sums, one sync, then the renames."""
    wants = [change.resource for change in group if isinstance(change.resource, File)]
    news = [stat.temporary(want.name) for want in wants]
    yield f"clean() {{ {sh('rm', '-f', '--', *news)}; }}\n"
    for want, new in zip(wants, news, strict=True):
        quoted = sh(new)
        yield f"at={sh(want.name)}\n[ ! -e {quoted} ] || rm -rf -- {quoted}\n"
        yield f"umask {0o777 & ~want.mode:04o}; set -C; head -c {len(want.content)} > {quoted}; set +C\n"
        yield f"chown {sh(want.owner)} {quoted}\n" if want.owner != "root:root" else ""
        yield f"chmod {want.mode:04o} {quoted}\n" if want.mode & ~0o666 else ""  # no umask lets a redirection make these bits
    sums = "".join(f"{want.sha256}  {new}\n" for want, new in zip(wants, news, strict=True))
    yield f"at='the checksums of {len(wants)} files'\nsha256sum -c --quiet <<'kb-sums'\n{sums}kb-sums\n"
    yield sh("sync", *news) + "\n"
    for want, new in zip(wants, news, strict=True):
        yield f"at={sh(want.name)}\nmv -fT -- {sh(new)} {sh(want.name)}\n"


def in_kinds(changes: Iterable[Change]) -> list[Change]:
    """*changes* of a first installation in groups as large as can be: what is neither directory nor file, then directories, then files."""
    order = {"": 0, "directories": 1, "files": 2}
    return sorted(changes, key=lambda change: order[_group(change)])
