"""Every kind of finding: its id, how bad it is, why it hurts, and what to do. The docs are drawn from here.

Severity follows one rule. Error: some of what was given would not be learned, or would be learned
wrongly; training waits until it is mended or its id is in `[data] ignore`. Warning: it probably hurts.
Info: worth knowing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from tui_ft.data import catalog_content, catalog_model, catalog_rows, catalog_whole
from tui_ft.data.entry import Entry
from tui_ft.errors import InputError, Problem
from tui_ft.text import nearest

CATALOG: Final[Mapping[str, Entry]] = {
    entry.id: entry
    for part in (catalog_rows, catalog_content, catalog_whole, catalog_model)
    for entry in part.entries()
}


def check_ignored(ids: Iterable[str]) -> None:
    """Raises InputError naming every id in `[data] ignore` that is no finding, with the nearest one."""
    problems = [
        Problem(
            f"there is no finding {unknown!r}",
            "data.ignore",
            f"Did you mean {close[0]}?"
            if (close := nearest(unknown, CATALOG))
            else "See docs/data.md for all ids.",
        )
        for unknown in ids
        if unknown not in CATALOG
    ]
    if problems:
        raise InputError(problems)
