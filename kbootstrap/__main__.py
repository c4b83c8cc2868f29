"""The ``kbootstrap`` command: the same tasks as ``./inv``, without a checkout."""

from __future__ import annotations

from invoke.program import Program

import kbootstrap
from kbootstrap.tasks import collection


def main() -> None:
    """Run the command line; exits with the task's code."""
    Program(name="kbootstrap", binary="kbootstrap", version=kbootstrap.__version__, namespace=collection()).run()


if __name__ == "__main__":
    main()
