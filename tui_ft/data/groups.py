"""What decides the side of a row besides its content: a group, a label, a time, or what it was before a fix.

Read from the row as it stands in the file, so that mending or dropping rows moves no other row.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from typing import Any, Final

from tui_ft.data.rows import RawRow, Row
from tui_ft.data.split import Traits
from tui_ft.errors import InputError, Problem
from tui_ft.recipe import Data
from tui_ft.text import excerpt, nearest

# A row that a fix changed keeps here the id it had before, and with it its side.
ORIGIN: Final = "tui_ft_row"
ANSWER: Final = "answer"
NEAR: Final = "near"

_ID = re.compile(r"[0-9a-f]{16}")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
# Epoch numbers beyond this are in milli-, micro- or nanoseconds: in seconds it is the year 5138.
_MOST_SECONDS = 1e11
_LABEL_WIDTH = 100


def traits_of(raw: RawRow, row: Row, data: Data) -> Traits | None:
    """What decides the row's side; None when its content alone does."""
    origin = raw.values.get(ORIGIN)
    if not (origin or data.group_by or data.stratify or data.split_by_time):
        return None
    key = origin if isinstance(origin, str) and _ID.fullmatch(origin) else row.id
    if data.group_by and data.group_by != NEAR and not _blank(group := raw.values.get(data.group_by)):
        key = group_key(group)
    stratum = ""
    if data.stratify:
        label = row.answer if data.stratify == ANSWER else raw.values.get(data.stratify)
        stratum = "" if _blank(label) else _text(label).strip()[:_LABEL_WIDTH]
    when = parse_time(raw.values.get(data.split_by_time)) if data.split_by_time else None
    return Traits(key, stratum, when)


def marks_of_traits(raw: RawRow, data: Data, traits: Traits | None) -> tuple[tuple[str, str], ...]:
    """Findings on one row's group, label and time, as (finding id, excerpt)."""
    if traits is None:
        return ()
    marks: list[tuple[str, str]] = []
    if data.split_by_time and traits.time is None:
        marks.append(("time-unreadable", excerpt(_text(raw.values.get(data.split_by_time)), 40)))
    if data.group_by and data.group_by != NEAR and _blank(raw.values.get(data.group_by)):
        marks.append(("group-missing", excerpt(", ".join(raw.values), 60)))
    if data.stratify and not traits.stratum:
        marks.append(("label-missing", excerpt(", ".join(raw.values), 60)))
    return tuple(marks)


def check_split_keys(data: Data, columns: Iterable[str]) -> None:
    """Raises InputError when the recipe splits by columns that are not there, or in two ways at once."""
    seen = tuple(columns)
    asked = (
        ("data.stratify", data.stratify, ANSWER),
        ("data.group_by", data.group_by, NEAR),
        ("data.split_by_time", data.split_by_time, ""),
    )
    problems = [
        _no_column(key, column, seen) for key, column, word in asked if column not in ("", word, *seen)
    ]
    if data.split_by_time and data.stratify:
        problems.append(
            Problem(
                "rows cannot be held out by time and in equal shares of every label at once",
                "data.split_by_time",
                "Leave out data.stratify or data.split_by_time.",
            )
        )
    if problems:
        raise InputError(problems)


def group_key(value: Any) -> str:
    """16 hex digits that are the same for rows with this value in their group column."""
    return hashlib.sha256(f"group:{_text(value).strip()}".encode(errors="replace")).hexdigest()[:16]


def parse_time(value: Any) -> float | None:
    """Seconds since 1970 of an ISO date, a date and time, or an epoch number in s, ms, µs or ns.

    A time without a zone is taken as UTC. None when it is none of these.
    """
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC).timestamp()
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return _epoch(float(value))
    text = str(value).strip()
    # Eight digits are a date in ISO's short form; as an epoch number they would lie before 1974.
    if _NUMBER.fullmatch(text) and len(text) != len("20240131"):
        return _epoch(float(text))
    try:
        return parse_time(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None


def _epoch(number: float) -> float | None:
    if number != number or number in (float("inf"), float("-inf")):
        return None
    for _ in range(3):
        if abs(number) > _MOST_SECONDS:
            number /= 1000
    return number if abs(number) <= _MOST_SECONDS else None


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True)


def _no_column(key: str, column: str, seen: tuple[str, ...]) -> Problem:
    close = nearest(column, seen)
    listed = ", ".join(excerpt(name, 30) for name in seen[:12]) or "none"
    fix = f"Did you mean {excerpt(close[0])}?" if close else f"The columns are: {listed}."
    return Problem(f"there is no column {excerpt(column)!r}", key, fix)
