"""Imports go down only, siblings do not know each other, and effects have their places: read from every module's own text."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import kbootstrap

PACKAGE = Path(kbootstrap.__file__).parent
LAYERS = (
    {"errors", "catalog"},
    {"model"},
    {"inventory", "topology", "probe", "pki", "kubeconfig", "render", "resources", "report"},
    {"rolebook"},
    {"plan"},
    {"remote", "store"},
    {"engine", "testing", "lab"},
    {"tasks"},
    {"__main__"},
)
LEVEL = {part: number for number, layer in enumerate(LAYERS) for part in layer}
SIBLINGS = {("catalog", "errors")}  # a catalog that cannot be read is an error with a hint, too
EFFECTS = {"paramiko", "subprocess", "socket", "time", "secrets", "random", "httpx", "filelock", "tempfile", "shutil", "urllib.request"}
WITH_EFFECTS = {"remote", "store", "lab", "tasks", "__main__", "testing"}  # testing: golden files, rewritten on request
WRITES = {"write_text", "write_bytes", "mkdir", "unlink", "rename", "touch", "rmdir", "chmod", "symlink_to"}
LAB_USERS = {"lab.py", "demo.py", "_demo.py"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    path: Path
    tree: ast.Module

    @property
    def part(self) -> str:
        """``kbootstrap/store/lock.py`` → store; ``kbootstrap/errors.py`` → errors."""
        return self.path.relative_to(PACKAGE).parts[0].removesuffix(".py")

    def imports(self) -> Iterator[tuple[str, int]]:
        """Full names of what it imports, wherever in it, with their lines; ``from a import b`` gives a.b."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


MODULES = [Module(path=p, tree=ast.parse(p.read_text())) for p in sorted(PACKAGE.rglob("*.py")) if p != PACKAGE / "__init__.py"]


def test_every_part_has_a_layer() -> None:
    assert len(MODULES) > 100
    unknown = {module.part for module in MODULES} - set(LEVEL)
    assert not unknown, "add it to LAYERS, to kbootstrap/__init__.py and to docs/MAP.md"


def test_imports_go_down_only() -> None:
    wrong = []
    for module in MODULES:
        for name, line in module.imports():
            theirs = name.split(".")[1] if name.startswith("kbootstrap.") else ""
            if theirs in LEVEL and theirs != module.part and (module.part, theirs) not in SIBLINGS and LEVEL[theirs] >= LEVEL[module.part]:
                wrong.append(f"{module.path}:{line}: {module.part} may not import {theirs}")
    assert wrong == []


def test_only_remote_store_and_lab_have_effects() -> None:
    wrong = []
    for module in MODULES:
        if module.part in WITH_EFFECTS:
            continue
        for name, line in module.imports():
            found = next((effect for effect in EFFECTS if name == effect or name.startswith(f"{effect}.")), "")
            if found:
                wrong.append(f"{module.path}:{line}: {found} belongs into remote/ or store/")
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WRITES:
                wrong.append(f"{module.path}:{node.lineno}: .{node.func.attr}() belongs into remote/ or store/")
    assert wrong == []


def test_only_the_lab_and_the_demo_import_the_lab() -> None:
    tasks = [module for module in MODULES if module.part == "tasks"]
    users = {module.path.name for module in tasks for name, _ in module.imports() if f"{name}.".startswith("kbootstrap.lab.")}
    assert users <= LAB_USERS, "the lab is a tool beside the product"


def test_every_package_says_what_lives_there() -> None:
    short = []
    for path in sorted(PACKAGE.rglob("__init__.py")):
        said = ast.get_docstring(ast.parse(path.read_text())) or ""
        if len(said) < 60:
            short.append(path)
    assert short == [], "in 5 to 10 lines: what lives here, what it may import, how to add one"
