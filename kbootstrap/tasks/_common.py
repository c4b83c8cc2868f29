"""What every task shares: which cluster, errors as lines and exit codes, the way in, bugs as one line and a saved trace."""

from __future__ import annotations

import errno
import functools
import getpass
import inspect
import os
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final, NoReturn, ParamSpec, TypeVar

from invoke.context import Context
from invoke.exceptions import Exit

from kbootstrap.errors import InventoryError, KbError, PrivilegeError, UsageError
from kbootstrap.model.host import Host
from kbootstrap.store import lock
from kbootstrap.store.folder import Folder
from kbootstrap.tasks import _forks, _passphrase, _timings
from kbootstrap.tasks._runner import in_hand

P = ParamSpec("P")
R = TypeVar("R")
ROOT = Path("inventory")
BUG = 70
INTERRUPTED = 130
READER_GONE = 141  # as a program that SIGPIPE ended
_OF_THE_MACHINE: Final = frozenset(  # a full disk or a forbidden folder of the operator's is no bug
    (errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOTDIR, errno.EISDIR, errno.EIO)
)

_LOOK: ContextVar[Callable[[KbError, str], None] | None] = ContextVar("look")

CLUSTER_HELP = "folder below inventory/; by default the only one there (example aside), or KB_CLUSTER"
JSON_HELP = "machine-readable output"


def find_folder(cluster: str) -> Folder:
    """The folder of *cluster*, of KB_CLUSTER, or the only one below inventory/ (example aside). UsageError names the ones there are."""
    found = _folder(cluster)
    _passphrase.use_for(found)
    return found


def _folder(cluster: str) -> Folder:
    name = cluster or os.environ.get("KB_CLUSTER", "")
    known = sorted(path.parent.name for path in ROOT.glob("*/cluster.yml"))
    if name:
        if name not in known:
            source = "" if cluster else " (the name comes from KB_CLUSTER in the environment)"
            raise UsageError(f"there is no {ROOT / name}/cluster.yml{source}", hint=f"There is {', '.join(known) or 'none yet'}.")
        return Folder(root=ROOT / name)
    mine = [each for each in known if each != "example"]
    if len(mine) != 1:
        hint = f"Say which: --cluster {'|'.join(mine)}." if mine else "Write one: `invoke inventory.new --name lab --masters 10.0.0.11`."
        raise UsageError(f"{len(mine) or 'no'} clusters in {ROOT}/", hint=hint)
    return Folder(root=ROOT / mine[0])


def say(text: str) -> None:
    """A line on standard output; commands in it can be typed as they stand."""
    sys.stdout.write(in_hand(text) + "\n")


def complain(text: str) -> None:
    """A line on standard error; commands in it can be typed as they stand."""
    sys.stderr.write(in_hand(text) + "\n")


def ask(question: str) -> str:
    """What somebody at the terminal answers; the end of input is no answer. Meanwhile no other run has to wait for the cluster's lock."""
    with lock.aside():
        try:
            return input(question).strip()
        except EOFError:
            say("")
            return ""


def reported(body: Callable[P, R]) -> Callable[P, R]:
    """Show a KbError as one block on stderr and end with its exit code; a bug as one line and the path of its trace (exit 70).

    Every task gets the option ``--timings`` by it, one that contacts hosts ``--forks``, and one that is about a cluster those of ``_passphrase``, if
    it has none that are called so.
    """
    given = inspect.signature(body)
    parameters = given.parameters
    added = _passphrase.OPTIONS if "cluster" in parameters and not parameters.keys() & _passphrase.OPTIONS.keys() else {}

    @functools.wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        options: dict[str, Any] = dict(kwargs)
        words = [options.pop(name, default) if name in added else default for name, default in _passphrase.OPTIONS.items()]
        wanted = options.pop(_timings.OPTION, "")
        forks = options.pop(_forks.OPTION, _forks.DEFAULT)
        _explained(lambda: _timings.refuse_unfit(wanted))
        _explained(lambda: _forks.refuse_unfit(forks))
        _explained(lambda: _refuse_dry(*args))
        with _timings.recording(wanted, complain), _passphrase.offered(*words), _forks.given(forks):
            _LOOK.set(None)
            return _explained(lambda: body(*args, **options), f"{body.__module__.rpartition('.')[2]}.{body.__name__}")

    at_once = {_forks.OPTION: _forks.DEFAULT} if _forks.BESIDE in parameters else {}
    more = {**added, **at_once, _timings.OPTION: ""}.items()
    extra = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default) for name, default in more]
    run.__signature__ = given.replace(parameters=[*parameters.values(), *extra])  # type: ignore[attr-defined]  # where invoke looks for options
    return run


def _refuse_dry(context: object = None, *_: object) -> None:
    """invoke's own ``--dry`` holds back shell commands alone, of which a task has none: it would do everything, where somebody hoped for nothing."""
    if isinstance(context, Context) and context.config.run.dry:
        raise UsageError("--dry holds back no task; nothing was done", hint="What would change: invoke cluster.plan, or the task's own --dry-run.")


def examined_by(look: Callable[[KbError, str], None]) -> None:
    """The task that runs has hosts: when it fails, *look* (error, command) finds out why."""
    _LOOK.set(look)


def _examine(error: KbError, command: str) -> None:
    """An autopsy is a help: where it fails itself, the error is told without it, and why there is none."""
    look = _LOOK.get(None)
    if look is None:
        return
    try:
        look(error, command)
    except KeyboardInterrupt:
        complain("no autopsy: interrupted")
    except (KbError, OSError) as other:
        complain(f"no autopsy: {other}")
    except Exception as other:  # a bug in the help must not hide what it was to explain
        complain(f"no autopsy: {type(other).__name__}: {other} (a bug in kbootstrap: please report {_save_trace()})")


def _explained(body: Callable[[], R], command: str = "") -> R:
    try:
        return body()
    except KbError as error:
        _examine(error, command)
        complain(block(error))
        raise Exit(code=error.exit_code) from None
    except KeyboardInterrupt:
        complain("interrupted; nothing is lost. Run the same command again, it goes on where it stopped.")
        raise Exit(code=INTERRUPTED) from None
    except BrokenPipeError:  # `… | head` has read enough
        reader_gone()
        raise Exit(code=READER_GONE) from None
    except Exit:
        raise
    except OSError as error:
        if error.errno not in _OF_THE_MACHINE:
            return _bug(error)
        complain(f"error: {error.filename or 'this machine'}: {error.strerror}\n  Mend it on this machine and run the same command again.")
        raise Exit(code=KbError.exit_code) from None
    except Exception as error:  # the last line of defence: a traceback helps us, not the user
        return _bug(error)


def reader_gone() -> None:
    """Nothing more can be said on standard output, not even at the interpreter's end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _bug(error: Exception) -> NoReturn:
    complain(f"error: this is a bug in kbootstrap: {type(error).__name__}: {error}\n  The trace is in {_save_trace()}; please report it.")
    raise Exit(code=BUG) from None


def block(error: KbError) -> str:
    """An error as a person reads it: what, every problem, the next command."""
    lines = [str(error), *map(str, error.problems)]
    lines += ["Why:", *(f"  {cause}".replace("\n", "\n  ") for cause in error.causes)] if error.causes else []
    lines += [error.hint] if error.hint else []
    lines += [f"All that was seen, without secrets: {error.bundle}"] if error.bundle else []
    return "error: " + "\n".join(lines).replace("\n", "\n  ")


def _save_trace() -> str:
    handle, path = tempfile.mkstemp(prefix="kbootstrap-", suffix=".trace")
    with os.fdopen(handle, "w") as file:
        traceback.print_exc(file=file)
    return path


class Passwords:
    """sudo's password of each host: a 0600 file named in the inventory, a descriptor, or asked for once. Never argv, never the environment."""

    def __init__(self, *, ask: bool = False, descriptor: int = -1, aside: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        """*aside* is held while somebody is asked. UsageError if *descriptor* is none."""
        self._ask = ask
        self._aside = aside
        self._once = threading.Lock()
        self._typed = _read_descriptor(descriptor) if descriptor >= 0 else None

    def of(self, host: Host) -> Callable[[], str] | None:
        """How to get the password of *host*, or None where sudo must not ask."""
        sudo = host.ssh.sudo
        if sudo.password_file is not None:
            path = sudo.password_file
            return lambda: _read_secret(path)
        if sudo.password or self._ask or self._typed is not None:
            return self._prompt
        return None

    def _prompt(self) -> str:
        with self._once:
            if self._typed is None:
                if not sys.stdin.isatty():
                    raise PrivilegeError(
                        "sudo needs a password and there is no terminal to ask on", hint="Set ssh.sudo.password_file or use --sudo-password-fd."
                    )
                with self._aside():
                    self._typed = getpass.getpass("sudo password of the hosts: ")
            return self._typed


def _read_descriptor(descriptor: int) -> str:
    try:
        with os.fdopen(descriptor) as file:
            return file.readline().rstrip("\n")
    except OSError as error:
        raise UsageError(f"--sudo-password-fd {descriptor}: {error.strerror}", hint="For example: --sudo-password-fd 3 3<password-file.") from None


def _read_secret(path: Path) -> str:
    try:
        mode = path.stat().st_mode & 0o777
        if mode & 0o077:
            raise InventoryError(f"{path} is readable by others (mode {mode:04o})", hint=f"Run: chmod 600 {path}")
        return path.read_text().rstrip("\n")
    except OSError as error:
        raise InventoryError(f"{path}: {error.strerror}", hint="ssh.sudo.password_file names the file that holds sudo's password.") from None
