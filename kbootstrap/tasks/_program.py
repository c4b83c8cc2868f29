"""The command line of ``./inv`` and ``kbootstrap``: invoke's, but an error is one block with the next command, and exit code 2."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from invoke.collection import Collection
from invoke.exceptions import Exit, ParseError
from invoke.program import Program

import kbootstrap
from kbootstrap.errors import UsageError
from kbootstrap.tasks import _mistakes
from kbootstrap.tasks._common import READER_GONE, block, complain, reader_gone, say
from kbootstrap.tasks._runner import runner

_HELP: Final = ("--help", "-h")
_OF_HOSTS: Final = "node."
_OF_SHELL_COMMANDS: Final = frozenset({"command-timeout", "dry", "echo", "hide", "prompt-for-sudo-password", "pty", "warn-only", "write-pyc"})
_TAKE_THE_REST: Final = ("lab.ssh",)  # others would drop what follows --


class CommandLine(Program):
    """invoke's program over *namespace*; alone it lists the tasks."""

    def __init__(self, namespace: Collection) -> None:
        super().__init__(name="kbootstrap", binary=runner(), version=kbootstrap.__version__, namespace=namespace)
        self._tasks = namespace
        self._names = set(namespace.task_names).union(*namespace.task_names.values())

    def run(self, argv: list[str] | None = None, exit: bool = True) -> None:
        """Run *argv* (``sys.argv``); ends with the task's exit code, 2 if the command line is wrong."""
        try:
            try:
                super().run(argv, exit)
            finally:
                sys.stdout.flush()  # here, not at the interpreter's end, where nobody can catch what it raises
        except BrokenPipeError:  # `--list | head`
            reader_gone()
            sys.exit(READER_GONE)

    def normalize_argv(self, argv: list[str] | None) -> None:
        """``lab.ssh --help`` is ``--help lab.ssh``: a task that still lacks a positional value would take ``--help`` for it."""
        super().normalize_argv(argv)
        self.argv = self._names_together(self.argv)
        end = self.argv.index("--") if "--" in self.argv else len(self.argv)
        place = next((index for index, token in enumerate(self.argv[:end]) if token in _HELP), 0)
        if tasks := [token for token in self.argv[1:place] if token in self._names]:
            self.argv = [self.argv[0], "--help", tasks[-1]]

    def _names_together(self, argv: list[str]) -> list[str]:
        """``node.remove m4 m5`` is ``node.remove --names m4,m5``: for invoke the second word would be another task."""
        found, place = list(argv), next((index for index, token in enumerate(argv) if token.startswith(_OF_HOSTS)), len(argv))
        words = list(itertools.takewhile(lambda token: not token.startswith("-") and token not in self._names, argv[place + 1 :]))
        if words:
            found[place + 1 : place + 1 + len(words)] = ["--names", ",".join(words)]
        return found

    def parse_core(self, argv: list[str] | None) -> None:
        with self._explained():
            super().parse_core(argv)

    def parse_tasks(self) -> None:
        with self._explained():
            super().parse_tasks()
            if self.core.remainder and not any(task.name in _TAKE_THE_REST for task in self.tasks):
                raise ParseError("No idea what '--' is!", self.tasks[-1] if self.tasks else None)

    def parse_cleanup(self) -> None:
        with self._explained():
            root = self.args.list.value
            if isinstance(root, str) and root not in self.collection.collections:  # invoke would say so with exit code 1 and no more
                raise ParseError(f"No idea what {root!r} is!")
            super().parse_cleanup()

    def no_tasks_given(self) -> None:
        """The tasks, not invoke's own options."""
        self.list_tasks()
        raise Exit

    def print_help(self) -> None:
        """Without invoke's options for the shell commands of a task: ours have none."""
        say(f"Usage: {self.binary} [--core-opts] <command> [--options] ...\n\nCore options:\n")
        self.print_columns([each for each in self.initial_context.help_tuples() if not any(f"--{name}" in each[0] for name in _OF_SHELL_COMMANDS)])
        self.list_tasks()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except ParseError as error:
            wrong = _mistakes.explain(error, sorted(self._names))
        except ValueError:  # invoke lets int() of a value fail as it may
            wrong = _mistakes.no_number(self.argv[1:], [self.initial_context, *self._tasks.to_contexts()])
        else:
            return
        complain(block(wrong))
        raise Exit(code=UsageError.exit_code) from None
