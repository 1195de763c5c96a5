"""Checks of single rows. Each is a small pure function that gives an excerpt of what is wrong, or None."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from tui_ft.data.rows import ColumnMapping, RawRow, Row
from tui_ft.data.shapes import as_turns
from tui_ft.text import excerpt

Check = Callable[[Row], str | None]

# Tab, line feed and carriage return are text; everything else below space, DEL and C1 is not.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# A plain search for these is many times quicker than the patterns, and nearly no text has them.
_SECRET_HINTS = ("hf_", "sk-", "AKIA", "ghp_", "gho_", "github_pat_", "xox", "AIza", "PRIVATE KEY")
_SECRETS = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"hf_[A-Za-z0-9]{30,}"
    r"|sk-(?=[A-Za-z0-9_-]*[0-9])(?=[A-Za-z0-9_-]*[A-Z])[A-Za-z0-9_-]{20,}"
    r"|AKIA[0-9A-Z]{16}"
    r"|gh[po]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{50,}"
    r"|xox[abprs]-[0-9]{8,}-[A-Za-z0-9-]{10,}"
    r"|AIza[A-Za-z0-9_-]{35}"
    r")(?![A-Za-z0-9])"
    r"|-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"
)
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


def texts(row: Row) -> Iterator[str]:
    """Every text in a row that the model would read."""
    if row.text is not None:
        yield row.text
    for turn in row.dialogue:
        yield turn["content"]
        if "reasoning_content" in turn:
            yield turn["reasoning_content"]
    if row.rejected is not None:
        yield row.rejected


def control_characters(row: Row) -> str | None:
    """Control characters and terminal escapes, but not tabs and line breaks."""
    for text in texts(row):
        if not text.isprintable() and (found := _CONTROL.search(text)):
            return f"{_around(text, found.start())} (U+{ord(found[0]):04X})"
    return None


def secrets(row: Row) -> str | None:
    """Access keys and private keys of well-known forms, redacted."""
    for text in texts(row):
        if any(hint in text for hint in _SECRET_HINTS):
            for found in _SECRETS.finditer(text):
                if "EXAMPLE" not in found[0]:
                    return f"{excerpt(found[0][:8], 8)}… ({len(found[0])} characters)"
    return None


ROW_CHECKS: Final[Mapping[str, Check]] = {
    "control-characters": control_characters,
    "secrets": secrets,
}


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
