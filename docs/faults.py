"""Writes the fault matrix of docs/reliability.md from the tests that inject the faults.

python docs/faults.py

A row is a test whose docstring reads "fault: promise." Every test in tests/faults has one; some of
tests/training have, too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- faults: drawn by docs/faults.py -->\n", "<!-- end of faults -->\n"


@dataclass(frozen=True)
class Row:
    """One fault, what is promised, and the test that holds it to that."""

    fault: str
    promise: str
    test: str
    slow: bool


def rows(path: Path) -> Iterator[Row]:
    """The rows of one file of tests. Raises ValueError for a docstring of another form."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
            continue
        words = " ".join((ast.get_docstring(node) or "").split())
        if not words:
            continue
        fault, colon, promise = words.partition(": ")
        if not colon or not promise.endswith("."):
            raise ValueError(f'{path.name}::{node.name} does not say "fault: promise."')
        slow = any("slow" in ast.unparse(mark) for mark in node.decorator_list)
        yield Row(fault, promise.rstrip("."), f"{path.relative_to(ROOT / 'tests')}::{node.name}", slow)


def matrix() -> str:
    """One table per file of tests/faults, then the rows of tests/training."""
    parts = []
    for path in sorted((ROOT / "tests" / "faults").glob("test_*.py")):
        if path.name == "test_matrix.py":
            continue
        title = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").rstrip(".")
        parts.append(_table(title, list(rows(path))))
    more = [row for path in sorted((ROOT / "tests" / "training").glob("test_*.py")) for row in rows(path)]
    parts.append(_table("In the tests of their features", more))
    return "\n".join(part for part in parts if part)


def _table(title: str, found: list[Row]) -> str:
    if not found:
        return ""
    lines = [f"### {title}\n", "| fault | promise | test |", "|---|---|---|"]
    for row in found:
        slow = " (slow)" if row.slow else ""
        lines.append(f"| {_cell(row.fault)} | {_cell(row.promise)} | `{row.test}`{slow} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def drawn(page: str) -> str:
    """The page with its matrix as the tests are now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{matrix()}\n{END}{after}"


if __name__ == "__main__":
    TARGET.write_text(drawn(TARGET.read_text(encoding="utf-8")), encoding="utf-8")
