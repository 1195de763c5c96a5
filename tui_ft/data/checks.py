"""Checks of single rows. Each is a small pure function that gives an excerpt of what is wrong, or None."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Final

from tui_ft.data.characters import control_characters, invisible_characters, mojibake
from tui_ft.data.credentials import secrets
from tui_ft.data.leftovers import html_remnants, placeholders
from tui_ft.data.look import Look, look, texts
from tui_ft.data.personal import personal_data
from tui_ft.data.repetition import repeated_text
from tui_ft.data.rows import ColumnMapping, RawRow, Row
from tui_ft.data.shapes import as_turns
from tui_ft.data.stock_phrases import ai_phrases, refusals, stock_openings
from tui_ft.text import excerpt

Check = Callable[[Look], str | None]

_SAYS_NOTHING = frozenset(
    [
        "n/a",
        "na",
        "none",
        "null",
        "nan",
        "nil",
        "undefined",
        "todo",
        "tbd",
        "no answer",
        "no output",
        "nooutput",
    ]
    + ["test", "asdf", "xxx", "lorem ipsum", "answer", "output", "response", "string", "placeholder"]
)
_CUT_AFTER = frozenset(
    ["a", "an", "the", "of", "to", "and", "or", "in", "is", "are", "with", "for", "i", "it", "this"]
)


ROW_CHECKS: Final[Mapping[str, Check]] = {
    "control-characters": control_characters,
    "invisible-characters": invisible_characters,
    "mojibake": mojibake,
    "html-remnants": html_remnants,
    "placeholders": placeholders,
    "secrets": secrets,
    "personal-data": personal_data,
    "refusals": refusals,
    "ai-phrases": ai_phrases,
    "stock-openings": stock_openings,
    "repeated-text": repeated_text,
}


def marks_of(row: Row) -> tuple[tuple[str, str], ...]:
    """What the checks of single rows find, as (finding id, sanitised excerpt)."""
    seen = look(row)
    return tuple([(name, mark) for name, check in ROW_CHECKS.items() if (mark := check(seen)) is not None])


def special_tokens(row: Row, tokens: tuple[str, ...]) -> str | None:
    """Text that the tokenizer reads as one of its control tokens."""
    for text in texts(row):
        for token in tokens:
            if token in text:
                return _around(text, text.index(token))
    return None


def written_as_json(raw: RawRow, mapping: ColumnMapping) -> str | None:
    """A part that should be text and is a number, true or false, or an object."""
    if mapping.shape not in ("alpaca", "prompt-completion", "text"):
        return None
    for part, column in mapping.columns.items():
        value = raw.values.get(column)
        if part in ("tools", "history") or value is None or isinstance(value, str) or as_turns(value):
            continue
        return f"{excerpt(column, 30)}: {excerpt(repr(value), 40)}"
    return None


def says_nothing(answer: str) -> bool:
    """True for answers that stand for a missing one, or break off after a word like "the"."""
    words = answer.casefold().strip(" \t\r\n.!?<>[](){}\"'*-").split()
    if not any(char.isalnum() for char in answer):
        return True
    return " ".join(words) in _SAYS_NOTHING or (len(words) <= 3 and words[-1] in _CUT_AFTER)


def is_json(text: str) -> bool:
    """True for a JSON object or list, which is what a task with JSON answers asks for."""
    bare = text.strip()
    if not bare.startswith(("{", "[")):
        return False
    try:
        json.loads(bare)
    except (ValueError, RecursionError):
        return False
    return True


def normalised(text: str) -> str:
    """Letters and digits only, in one case: equal for texts that differ in form alone."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def _around(text: str, at: int) -> str:
    return excerpt(text[max(0, at - 25) : at + 35])
