"""The front door: text → (ClusterSpec, findings), file → ClusterSpec."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from kbootstrap.errors import InventoryError, counted
from kbootstrap.inventory import edit
from kbootstrap.inventory.build import build
from kbootstrap.inventory.document import MAX_CHARACTERS, parse
from kbootstrap.inventory.draft import Draft
from kbootstrap.inventory.finding import Finding, Severity
from kbootstrap.inventory.rules import judge
from kbootstrap.inventory.shape import validate
from kbootstrap.model.cluster import ClusterSpec


def check(text: str, name: str, *, folder: Path = Path()) -> tuple[ClusterSpec | None, tuple[Finding, ...]]:
    """The cluster that *text* describes (None if any finding is an error) and every finding, in the order of the text. Never raises.

    *name* is what messages call the file; relative paths in the text start at *folder*.
    """
    draft, findings = examine(text, name, folder=folder)
    return (None if any_error(findings) or draft is None else draft.spec), findings


def examine(text: str, name: str, *, folder: Path = Path()) -> tuple[Draft | None, tuple[Finding, ...]]:
    """As ``check``, with the draft that also knows where each value stands; None if the text is no YAML mapping at all."""
    document, findings = parse(text, name)
    if any_error(findings) and not document.root.entries:
        return None, tuple(findings)
    file, wrong = validate(document)
    findings += wrong
    draft = Draft(document=document, file=file, spec=build(file, folder))
    findings += judge(draft)
    return draft, tuple(sorted(findings, key=lambda finding: finding.mark))


def any_error(findings: Iterable[Finding]) -> bool:
    """Whether anything refuses the inventory."""
    return any(finding.severity is Severity.ERROR for finding in findings)


def refuse(findings: Iterable[Finding], name: str) -> None:
    """InventoryError if *findings* holds an error; its problems are all findings."""
    findings = tuple(findings)
    count = sum(finding.severity is Severity.ERROR for finding in findings)
    if count:
        raise InventoryError(f"{name} has {counted(count, 'problem')}; nothing was contacted", problems=findings)


def read(path: Path) -> str:
    """The text of *path*; InventoryError if it is missing, unreadable, far too large or not UTF-8."""
    try:
        size = path.stat().st_size
        if size > 4 * MAX_CHARACTERS:
            raise InventoryError(f"{path} has {size} bytes, at most {4 * MAX_CHARACTERS} are read", hint="Is this a cluster.yml?")
        data = path.read_bytes()
    except FileNotFoundError:
        raise InventoryError(f"{path} does not exist", hint="Write one: `invoke inventory.new --name lab --masters 10.0.0.11 --workers …`.") from None
    except OSError as error:
        raise InventoryError(f"{path} cannot be read: {error.strerror}") from error
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line, column = data.count(b"\n", 0, error.start) + 1, error.start - data.rfind(b"\n", 0, error.start)
        raise InventoryError(f"{path}:{line}:{column}  not UTF-8 text", hint="Save the file as UTF-8.") from None


def load(path: Path, *, kubernetes: str = "") -> ClusterSpec:
    """The checked cluster in the file *path*; relative paths in it start at its folder. InventoryError carries every finding.

    *kubernetes*: as if the file named that version.
    """
    text = read(path)
    spec, findings = check(edit.with_version(text, kubernetes) if kubernetes else text, str(path), folder=path.parent)
    refuse(findings, str(path))
    if spec is None:
        raise InventoryError(f"{path} describes no cluster")
    return spec
