"""A port has one place: the catalog. Everywhere else it has a name."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NUMBERS = ("6443", "2379", "2380", "2381", "10250", "10257", "10259", "10248", "10249", "10256", "8472")
LITERAL = re.compile(rf"(?<![\d.#])(?:{'|'.join(NUMBERS)})(?![\d.]\d|\d)")
SOURCES = [*(ROOT / "kbootstrap").rglob("*.py"), *(ROOT / "roles").rglob("*.yml"), *(p for p in (ROOT / "templates").rglob("*") if p.is_file())]


def test_a_port_is_written_in_the_catalog_only() -> None:
    found = []
    for path in sorted(SOURCES):
        if (ROOT / "kbootstrap/catalog") in path.parents:
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if LITERAL.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert found == []


def test_the_catalog_knows_each_of_them() -> None:
    text = (ROOT / "kbootstrap/catalog/ports.py").read_text()
    assert [number for number in NUMBERS if number not in text] == []
