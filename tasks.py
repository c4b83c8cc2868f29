"""``./inv``: the tasks of kbootstrap, and the five of its developers."""

from __future__ import annotations

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import task

from kbootstrap.tasks import collection
from tests import suite


@task(auto_shortflags=False)
def lint(context: Context) -> None:
    """ruff: rules and format."""
    context.run("ruff check . && ruff format --check .", env=suite.PATH)


@task(auto_shortflags=False)
def types(context: Context) -> None:
    """mypy, strict."""
    context.run("mypy", env=suite.PATH)


@task(auto_shortflags=False, help={"long": "every lab case, without a time limit; goes on where it stopped", "lab": "False leaves the lab out"})
def test(_: Context, long: bool = False, lab: bool = True) -> None:
    """Everything that CI runs: lint, types, unit, cases, golden, local and lab tests."""
    suite.run(long=long, lab=lab)


namespace = Collection(lint, types, test)
for part in collection().collections.values():
    namespace.add_collection(part)
