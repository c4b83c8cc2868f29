"""The ``kbootstrap`` command: the same tasks as ``./inv``, without a checkout."""

from __future__ import annotations

import os

from kbootstrap.tasks import collection
from kbootstrap.tasks._program import CommandLine
from kbootstrap.tasks._runner import VARIABLE


def main() -> None:
    """Run the command line; exits with the task's code."""
    os.environ[VARIABLE] = "kbootstrap"
    CommandLine(collection()).run()


if __name__ == "__main__":
    main()
