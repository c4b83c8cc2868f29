"""A role of the user's own: a folder with ``role.yml``, ``templates/`` and ``bin/[<arch>/]<name>``, anywhere on the operator's machine."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from kbootstrap.errors import UsageError
from kbootstrap.model.resource import Blob


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleFolder:
    """Where its parts lie; ``templates`` and ``bin`` need not exist."""

    root: Path

    @property
    def role_yml(self) -> Path:
        return self.root / "role.yml"

    @property
    def templates(self) -> Path:
        return self.root / "templates"

    def text(self) -> str:
        """``role.yml``. UsageError if there is none."""
        try:
            return self.role_yml.read_text()
        except (FileNotFoundError, NotADirectoryError):
            hint = "A role is a folder with role.yml in it: name, on, and what it wants (files, directories, packages …)."
            raise UsageError(f"there is no {self.role_yml}", hint=hint) from None

    def binaries(self, arch: str) -> dict[str, Blob]:
        """Name → blob of what lies in ``bin/``; ``bin/<arch>/`` goes first. Hashed at every call: nothing tells whether it changed."""
        found = {path.name: path for folder in (self.root / "bin", self.root / "bin" / arch) if folder.is_dir() for path in sorted(folder.iterdir())}
        return {name: _blob(path) for name, path in found.items() if path.is_file()}


def _blob(path: Path) -> Blob:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Blob(sha256=digest, size=file.tell(), path=path.resolve())
