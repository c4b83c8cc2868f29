"""Where the roles and templates lie: beside the package in a checkout, inside it when it was installed from a wheel."""

from __future__ import annotations

from pathlib import Path

import jinja2
from platformdirs import user_cache_path

import kbootstrap
from kbootstrap.errors import KbError


def compiled() -> jinja2.BytecodeCache | None:
    """Where templates are kept as they were compiled, below the user's cache: 30 of them cost a twentieth of a run that finds nothing to do.

    Each is compiled anew when its text changed. The folder is the user's alone, since what lies in it is run.
    """
    place = user_cache_path("kbootstrap") / "templates"
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.chmod(0o700)
    except OSError:  # a home that cannot be written to: then they are compiled each time
        return None
    return jinja2.FileSystemBytecodeCache(str(place))


def folder(name: str) -> Path:
    """The directory of ``roles`` or ``templates``; KbError if the installation lacks it.

    A wheel carries them as ``kbootstrap/_assets/<name>``. A checkout is recognized by its pyproject.toml, so that some other ``roles``
    folder beside an installed package is never taken.
    """
    package = Path(kbootstrap.__file__).resolve().parent
    checkout = package.parent
    candidates = [package / "_assets" / name]
    if (checkout / "pyproject.toml").is_file():
        candidates.insert(0, checkout / name)
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise KbError(
        f"this installation has no {name}/ (looked in {', '.join(map(str, candidates))})", hint="Reinstall: pip install --force-reinstall ."
    )
