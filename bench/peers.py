"""The peers' own venv in the user's cache: the newest versions that this Python takes (``pyproject.toml``, extra ``bench``)."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

from bench.servers import PROJECT
from kbootstrap.store.artifacts import default_cache


def folder() -> Path:
    return default_cache().parent / "bench"


def python() -> Path:
    return folder() / "bin" / "python"


def script(name: str) -> Path:
    return folder() / "bin" / name


def mitogen_strategies() -> Path:
    """Where mitogen keeps its strategies for Ansible."""
    return next(folder().glob("lib/python3*/site-packages/ansible_mitogen/plugins/strategy"))


def wanted() -> list[str]:
    """The requirements of the extra."""
    return list(tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["bench"])


def install(*, upgrade: bool = False) -> None:
    """Make the venv if it is not there. CalledProcessError with pip's words if it cannot be made."""
    if not python().exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder())], check=True)
    elif not upgrade and {"ansible-core", "mitogen", "pyinfra", "fabric"} <= set(versions()):
        return
    subprocess.run([str(python()), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", *wanted()], check=True)


def versions() -> dict[str, str]:
    """Name → version of what is installed there."""
    done = subprocess.run(
        [str(python()), "-m", "pip", "--disable-pip-version-check", "list", "--format=json"], capture_output=True, check=True, text=True
    )
    return {row["name"].lower(): row["version"] for row in json.loads(done.stdout)}
