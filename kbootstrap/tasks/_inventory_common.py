"""Which cluster, and an error as lines and an exit code, for the inventory's tasks (until ``_common`` serves them)."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from invoke.exceptions import Exit

from kbootstrap.errors import KbError, UsageError
from kbootstrap.store.folder import Folder

P = ParamSpec("P")
R = TypeVar("R")
_ROOT = Path("inventory")


def new_folder(name: str) -> Folder:
    """The folder that a new cluster will have; UsageError for a name that is no plain folder name."""
    if not name or name.startswith((".", "-")) or not all(char.isascii() and (char.isalnum() or char == "-") for char in name):
        raise UsageError(f"{name!r} cannot be a cluster's name", hint="Use a-z, 0-9 and -, such as lab.")
    return Folder(root=_ROOT / name)


def find_folder(cluster: str) -> Folder:
    """The folder of *cluster*, of KB_CLUSTER, or the only one below inventory/ (example aside)."""
    name = cluster or os.environ.get("KB_CLUSTER", "")
    known = sorted(path.parent.name for path in _ROOT.glob("*/cluster.yml"))
    if name:
        if name not in known:
            raise UsageError(f"there is no {_ROOT / name}/cluster.yml", hint=f"There is {', '.join(known) or 'none yet'}.")
        return Folder(root=_ROOT / name)
    mine = [each for each in known if each != "example"]
    if len(mine) != 1:
        hint = f"Say which: --cluster {'|'.join(mine)}." if mine else "Write one: `./inv inventory.new --name lab --masters 10.0.0.11`."
        raise UsageError(f"{len(mine) or 'no'} clusters in {_ROOT}/", hint=hint)
    return Folder(root=_ROOT / mine[0])


def reported(body: Callable[P, R]) -> Callable[P, R]:
    """Show a KbError as lines on stderr and end with its exit code."""

    @functools.wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return body(*args, **kwargs)
        except KbError as error:
            lines = [f"error: {error}", *(f"  {problem}" for problem in error.problems), *([f"  {error.hint}"] if error.hint else [])]
            sys.stderr.write("\n".join(lines) + "\n")
            raise Exit(code=error.exit_code) from None

    return run
