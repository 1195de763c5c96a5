"""Changes to single rows as they stand in the file: texts, roles, turns. Pure; columns keep their form."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tui_ft.data.characters import mended, without_control, without_invisible
from tui_ft.data.credentials import without_secrets
from tui_ft.data.leftovers import unescaped
from tui_ft.data.personal import without_personal_data
from tui_ft.data.rows import ColumnMapping
from tui_ft.data.shapes import PARTS, as_turns
from tui_ft.data.turns import ROLES

Edit = Callable[[str], str]

# Parts that hold no text to edit: a verdict, and JSON in which a blank may matter.
_NO_TEXT = frozenset({"label", "tools"})
_SAID = ("content", "value", "reasoning_content", "reasoning", "thinking")
_ROUNDS = 20
_BLANK_LINES = re.compile(r"\A(?:[ \t]*\r?\n)+")
# What \f, \b, \a and \v become in a string, before the rest of a command of LaTeX.
_ESCAPES: Final = {"\x0c": "\\f", "\x08": "\\b", "\x07": "\\a", "\x0b": "\\v"}
_EATEN = re.compile(
    r"\x0c(?=rac\b|orall\b|box\b|loor\b|lat\b)"
    r"|\x08(?=eta\b|egin\b|ar\b|oxed\b|inom\b|ig[lr]?\b|ullet\b|mod\b|f\b)"
    r"|\x07(?=lpha\b|pprox\b|ngle\b|lign\b|st\b|rc(?:sin|cos|tan)\b)"
    r"|\x0b(?=ec\b|ar(?:epsilon|phi|theta)\b|dots\b|ert\b)"
)
_INDENTED = re.compile(r"\A(?:  |\t)")


@dataclass(frozen=True, slots=True)
class Change:
    """One text of a row that a fix changes. `field` is a path such as messages[2].content."""

    fix: str
    field: str
    before: str
    after: str


def trimmed(text: str) -> str:
    """The text without blank lines before it and blanks after it; the indentation of its first line stays."""
    bare = _BLANK_LINES.sub("", text.rstrip())
    return bare if _INDENTED.match(bare) else bare.lstrip()


def without_control_characters(text: str) -> str:
    """The text without control characters; \\frac and its like come back where an escape ate them."""
    return without_control(_EATEN.sub(lambda found: _ESCAPES[found[0]], text))


# In this order: what reads as a control character in wrongly decoded text is a part of a letter there.
TEXT_EDITS: Final[Mapping[str, Edit]] = {
    "mojibake": mended,
    "control-characters": without_control_characters,
    "invisible-characters": without_invisible,
    "html-remnants": unescaped,
    "outer-whitespace": trimmed,
}


# What a text must not give away. These wait for a yes.
REDACTIONS: Final[Mapping[str, Edit]] = {
    "secrets": without_secrets,
    "personal-data": without_personal_data,
}


def edit_texts(
    values: Mapping[str, Any], mapping: ColumnMapping, edits: Mapping[str, Edit]
) -> tuple[dict[str, Any], list[Change]]:
    """The row with every text the model would read edited until nothing changes any more."""
    changes: dict[tuple[str, str], Change] = {}

    def edit(text: str, field: str) -> str:
        for _ in range(_ROUNDS):
            stable = True
            for fix, change in edits.items():
                after = change(text)
                # A text that would become empty is for a person to look at, and for the check to find.
                if after != text and after.strip():
                    first = changes.get((fix, field))
                    changes[fix, field] = Change(fix, field, first.before if first else text, after)
                    text, stable = after, False
            if stable:
                break
        return text

    edited = {column: _edited(value, column, edit) for column, value in _text_columns(values, mapping)}
    return {**values, **edited}, list(changes.values())


def edit_roles(values: Mapping[str, Any], mapping: ColumnMapping) -> tuple[dict[str, Any], list[Change]]:
    """The row with the role names of its turns in the usual words: human becomes user, bot assistant."""
    changes: list[Change] = []

    def rename(turn: Mapping[str, Any], field: str) -> Mapping[str, Any]:
        given = turn.get("role")
        if not isinstance(given, str):
            return turn
        usual = ROLES.get(given.strip().casefold())
        # A call written as a turn of its own is more than another name for a role.
        if usual is None or usual == given or "call" in given.casefold():
            return turn
        changes.append(Change("roles", f"{field}.role", given, usual))
        return {**turn, "role": usual}

    def edit(turns: Sequence[Mapping[str, Any]], field: str) -> list[Mapping[str, Any]]:
        return [rename(turn, f"{field}[{number}]") for number, turn in enumerate(turns)]

    return _with_turns(values, mapping, edit), changes


def merge_turns(values: Mapping[str, Any], mapping: ColumnMapping) -> tuple[dict[str, Any], list[Change]]:
    """The row with turns of one role that follow each other as one turn, a blank line between them."""
    changes: list[Change] = []

    def edit(turns: Sequence[Mapping[str, Any]], field: str) -> list[Mapping[str, Any]]:
        done: list[Mapping[str, Any]] = []
        for number, turn in enumerate(turns):
            key = _joined_key(done[-1], turn) if done else ""
            if not key:
                done.append(turn)
                continue
            both = f"{done[-1][key]}\n\n{turn[key]}"
            changes.append(Change("role-order", f"{field}[{number}]", str(done[-1][key]), both))
            done[-1] = {**done[-1], key: both}
        return done

    return _with_turns(values, mapping, edit), changes


def _joined_key(last: Mapping[str, Any], turn: Mapping[str, Any]) -> str:
    """The key of the texts of two turns that can be made one; "" when they cannot."""
    names = [given.get("role", given.get("from")) for given in (last, turn)]
    roles = [ROLES.get(name.strip().casefold()) if isinstance(name, str) else None for name in names]
    if roles[0] != roles[1] or roles[0] not in ("user", "assistant", "system"):
        return ""
    if any("call" in str(name).casefold() for name in names) or last.keys() != turn.keys():
        return ""
    if last.keys() - {"role", "from", "content", "value"}:
        return ""
    return next(
        (k for k in ("content", "value") if isinstance(last.get(k), str) and isinstance(turn[k], str)), ""
    )


def _text_columns(values: Mapping[str, Any], mapping: ColumnMapping) -> Iterator[tuple[str, Any]]:
    for part in PARTS[mapping.shape].all:
        column = mapping.columns.get(part, part)
        if part not in _NO_TEXT and column in values:
            yield column, values[column]


def _with_turns(
    values: Mapping[str, Any],
    mapping: ColumnMapping,
    edit: Callable[[Sequence[Mapping[str, Any]], str], list[Mapping[str, Any]]],
) -> dict[str, Any]:
    """The row with every conversation in it edited, written as text again where it was text."""
    edited = dict(values)
    for column, value in _text_columns(values, mapping):
        if turns := _turns(value):
            done = edit(turns, column)
            if done != turns:
                edited[column] = json.dumps(done, ensure_ascii=False) if isinstance(value, str) else done
    return edited


def _turns(value: Any) -> list[Mapping[str, Any]] | None:
    turns = as_turns(value)
    return turns if turns and ("role" in turns[0] or "from" in turns[0]) else None


def _edited(value: Any, field: str, edit: Callable[[str, str], str]) -> Any:
    if isinstance(value, str):
        if (turns := _turns(value)) is None:
            return edit(value, field)
        done = _edited(turns, field, edit)
        return value if done == turns else json.dumps(done, ensure_ascii=False)
    if isinstance(value, Mapping):
        return {key: _edited_part(key, inner, f"{field}.{key}", edit) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_edited(inner, f"{field}[{number}]", edit) for number, inner in enumerate(value)]
    return value


def _edited_part(key: str, value: Any, field: str, edit: Callable[[str, str], str]) -> Any:
    """A field of a turn: its text, or the text parts of its content."""
    if key in _SAID and (isinstance(value, str) or _is_parts(value)):
        return _edited(value, field, edit)
    return edit(value, field) if key == "text" and isinstance(value, str) else value


def _is_parts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(part, Mapping) for part in value)
