"""What commands print: text for people, or exactly one JSON object."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any


def emit(value: Any) -> None:
    """One JSON object on stdout. Strict JSON: NaN is refused, so it has to be None by now."""
    print(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False))


def lines(texts: Iterable[str]) -> None:
    """Lines for people on stdout."""
    for text in texts:
        print(text)


def note(text: str) -> None:
    """A word on progress, on stderr so that stdout stays clean."""
    print(text, file=sys.stderr, flush=True)


def bell() -> None:
    """Ring the terminal, when there is one."""
    if sys.stderr.isatty():
        print("\a", end="", file=sys.stderr, flush=True)


def table(rows: Sequence[Sequence[str]], *, indent: str = "  ") -> list[str]:
    """Rows as aligned columns; the first row is the head. Numbers keep to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    numeric = [
        all(cell[:1].isdigit() or cell in ("", "unknown", "–") for cell in column)
        for column in zip(*rows[1:], strict=True)
    ]
    return [
        (
            indent
            + "  ".join(
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(row, widths, numeric, strict=True)
            )
        ).rstrip()
        for row in rows
    ]
