"""What is wrong with a command line, what was probably meant, and the next command. Pure: from invoke's ParseError to a UsageError."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Final

from invoke.exceptions import ParseError
from invoke.parser.context import ParserContext

from kbootstrap.errors import UsageError

_QUOTED: Final = re.compile(r"'([^']*)'")
_FLAG: Final = re.compile(r"<Argument: ([\w-]+)")
_LIST: Final = "invoke --list"
_NEAR: Final = 0.75  # how alike two words must be: a guess that is none of what was meant is worse than none
_SAME: Final = (  # options that different commands call differently, since they are about different things
    ("--limit", "--host", "--names", "--name"),
    ("--to", "--file", "--output", "--out"),
    ("--yes", "--force", "--assume-yes"),
    ("--cluster", "--name", "--inventory"),
    ("--dry-run", "--check", "--diff", "--plan"),
)
_HOSTS: Final = re.compile(r"[a-z]+-?\d+(?:,.*)?")


def explain(error: ParseError, tasks: Sequence[str]) -> UsageError:
    """*error* of a command line whose *tasks* these are, with the nearest name that there is and the next command."""
    text, context = str(error), error.context
    task = (context.name or "") if context else ""
    if context and context.missing_positional_args:
        needed = ", ".join(f"--{each.name}" for each in context.missing_positional_args)
        return UsageError(f"{task} needs {needed}", hint=_next(task))
    if text.startswith("Flag ") and (flag := _FLAG.search(text)):
        return UsageError(f"--{flag[1]} needs a value", hint=_next(task))
    if text.startswith("No idea what ") and (quoted := _QUOTED.search(text)):
        return _unknown(quoted[1], context, tasks)
    return UsageError(text, hint=_next(task))


def no_number(tokens: Sequence[str], contexts: Iterable[ParserContext]) -> UsageError:
    """Which of *tokens* should have been a whole number."""
    by_name = {name: context for context in contexts for name in (context.name or "", *context.aliases)}
    words = [word for token in tokens for word in (token.split("=", 1) if token.startswith("--") else [token])]
    task = ""
    for word, value in zip(words, [*words[1:], ""], strict=True):
        task = word if word in by_name else task
        known = by_name[task].flags.get(word) or by_name[""].flags.get(word)
        if known is not None and known.kind is int and not re.fullmatch(r"[+-]?\d+", value):
            return UsageError(f"{word} {value}: want a whole number", hint=_next(task))
    return UsageError("a value should be a whole number", hint=_next(task))


def _unknown(token: str, context: ParserContext | None, tasks: Sequence[str]) -> UsageError:
    task = (context.name or "") if context else ""
    if token.startswith("-"):
        flags = [flag for flag in (context.flags if context else ()) if flag.startswith("--")]
        word = token.partition("=")[0]
        alike = [flag for group in _SAME if word in group for flag in group if flag in flags]
        near = alike or get_close_matches(word, flags, 1, _NEAR)
        what = f"{task} has no option {token}" if task else f"there is no option {token}"
        return UsageError(f"{what}.{_meant(near)}", hint=_next(task))
    below = [name for name in tasks if name.startswith(f"{token}.")]
    if below:
        return UsageError(f"{token} is not a command but a group: {', '.join(below)}", hint=f"{_LIST} {token}")
    near = get_close_matches(token.replace("-", "_"), tasks, 1, _NEAR) or [name for name in tasks if name.rpartition(".")[2] == token][:1]
    if task and context and not near:
        return _bare(token, task, context)
    return UsageError(f"there is no command {token}.{_meant(near)}", hint=_next(near[0] if near else ""))


def _bare(word: str, task: str, context: ParserContext) -> UsageError:
    """A word behind a command is the value of an option that was not named."""
    wanted = ("--limit", "--host", "--names", "--name", "--cluster") if _HOSTS.fullmatch(word) else ("--name", "--cluster", "--file", "--to")
    option = next((flag for flag in wanted if flag in context.flags), "")
    return UsageError(f"{task}: what is {word}?{_meant([f'{option} {word}'] if option else [])}", hint=_next(task))


def _meant(near: Sequence[str]) -> str:
    return f" Did you mean {near[0]}?" if near else ""


def _next(task: str) -> str:
    return f"invoke --help {task}" if task else _LIST
