"""The work as the small clients take it: templates rendered, a tar made. Standard library and jinja2 only: it runs in the peers' venv too."""

from __future__ import annotations

import hashlib
import io
import json
import shlex
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, Template


@dataclass
class Order:
    """``batch.order``'s file, read."""

    raw: dict[str, Any]
    compiled: list[tuple[str, int, Template]] = field(default_factory=list)

    @classmethod
    def read(cls, path: str) -> Order:
        raw = json.loads(Path(path).read_text())
        environment = Environment(keep_trailing_newline=True, autoescape=False)  # noqa: S701  no HTML
        return cls(raw=raw, compiled=[(t["path"], t["mode"], environment.from_string(t["text"])) for t in raw["templates"]])

    @property
    def hosts(self) -> dict[str, int]:
        return dict(self.raw["hosts"])

    def files(self, name: str) -> list[tuple[str, int, bytes]]:
        """(path, mode, content) of the rendered files of a host."""
        return [(path, mode, template.render(name=name).encode()) for path, mode, template in self.compiled]

    def tar(self, name: str) -> bytes:
        """Directories and rendered files."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for path, mode in self.raw["directories"]:
                entry = tarfile.TarInfo(path.lstrip("/"))
                entry.type, entry.mode = tarfile.DIRTYPE, mode
                tar.addfile(entry)
            for path, mode, content in self.files(name):
                entry = tarfile.TarInfo(path.lstrip("/"))
                entry.size, entry.mode = len(content), mode
                tar.addfile(entry, io.BytesIO(content))
        return out.getvalue()

    def binary(self) -> tuple[str, int, bytes, str]:
        """(path, mode, content, a mark that tells the content) of the large file."""
        program = self.raw["program"]
        content = Path(program["file"]).read_bytes()
        return program["path"], program["mode"], content, hashlib.sha256(content).hexdigest()

    def question(self) -> str:
        """sh text of one line that prints every fact as ``name=value``."""
        return "; ".join(f"printf '%s=' {shlex.quote(name)}; ({text}) | head -n 1" for name, text in self.raw["facts"].items())
