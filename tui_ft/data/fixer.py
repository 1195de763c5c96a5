"""Fixes applied to a copy of the data: one pass, flat memory, every changed or dropped row in a log.

Rows are first mended, then those are dropped that cannot be learned from, then repeats of rows that were
kept. So what is left needs no second run: fixing it again changes nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tui_ft.data.characters import control_characters, invisible_characters, mojibake
from tui_ft.data.checks import normalised
from tui_ft.data.convert import to_row
from tui_ft.data.credentials import secrets
from tui_ft.data.edits import REDACTIONS, TEXT_EDITS, Change, Edit, edit_roles, edit_texts, merge_turns
from tui_ft.data.groups import ORIGIN
from tui_ft.data.leftovers import html_remnants
from tui_ft.data.look import Look, look
from tui_ft.data.masks import encode_rows
from tui_ft.data.personal import personal_data
from tui_ft.data.rows import ColumnMapping, RawRow, Row, Unreadable, Unusable
from tui_ft.data.stock_phrases import refusals

if TYPE_CHECKING:
    from tui_ft.models.tokenizer import ChatTokenizer

# Faults that no dropping of rows cures: the columns have to be named, or another model chosen.
_NOT_THE_ROWS: Final = frozenset({"unknown-columns"})
_ROUNDS = 20
_EDITS: Final[Mapping[str, Edit]] = {**TEXT_EDITS, **REDACTIONS}
_NEEDED: Final[Mapping[str, Callable[[Look], str | None]]] = {
    "mojibake": mojibake,
    "control-characters": control_characters,
    "invisible-characters": invisible_characters,
    "html-remnants": html_remnants,
    "secrets": secrets,
    "personal-data": personal_data,
}
_CHARACTERS: Final = frozenset({"mojibake", "control-characters", "invisible-characters"})
# Whether a text is about markup shows in a whole row only.
_ANY_ROW: Final = frozenset(_EDITS) - {"html-remnants"}
_ASKED: Final = frozenset({"role-order", *REDACTIONS})


@dataclass(frozen=True, slots=True)
class Drop:
    """Why a row is dropped: a fix, and the text that shows it."""

    fix: str
    text: str


@dataclass(frozen=True, slots=True)
class Fixed:
    """What fixes make of one place in a file.

    `values` is None when nothing of it is kept; `done` was applied, `waiting` needs a yes. `row_id` is
    that of the row as it was, "" when it was none.
    """

    file: str
    line: int
    values: Mapping[str, Any] | None
    row_id: str = ""
    done: tuple[Change | Drop, ...] = ()
    waiting: tuple[Change | Drop, ...] = ()
    row: Row | None = None  # what is kept, in canonical form


class Fixer:
    """Fixes rows one by one, in order; remembers a hash of each row it kept."""

    def __init__(
        self,
        mapping: ColumnMapping,
        accepted: Collection[str],
        *,
        ignored: Collection[str] = (),
        held_out: frozenset[int] = frozenset(),
        tokenizer: ChatTokenizer | None = None,
        seq_len: int | None = None,
    ) -> None:
        self._mapping = mapping
        self._accepted = accepted
        self._ignored = ignored
        self._held_out = held_out
        self._tokenizer = tokenizer
        self._seq_len = seq_len
        self._kept: set[int] = set()
        self._answers: dict[int, int] = {}

    def see(self, place: RawRow | Unreadable) -> Fixed:
        """Fix one place of a file."""
        if isinstance(place, Unreadable):
            return self._without(place, Drop("unparseable", f"{place.what}: {place.excerpt}"))
        if any(note == "duplicate-keys" for note, _ in place.notes) and "duplicate-keys" not in self._ignored:
            return self._without(place, Drop("duplicate-keys", "; ".join(words for _, words in place.notes)))
        was = to_row(place, self._mapping)
        row_id = was.id if isinstance(was, Row) else ""
        values, row, seen, done = self._mended(place, was)
        waiting: tuple[Change | Drop, ...] = self._waiting(values, row, seen)
        for drop in self._drops(row, seen):
            if drop.fix in self._ignored:
                continue
            if drop.fix in self._accepted:
                return Fixed(place.file, place.line, None, row_id, (drop,), waiting)
            waiting = (*waiting, drop)
        if isinstance(row, Row) and row_id and row.id != row_id:
            values = {**values, ORIGIN: values.get(ORIGIN) or row_id}
        kept = row if isinstance(row, Row) else None
        return Fixed(place.file, place.line, values, row_id, done, waiting, kept)

    def _without(self, place: RawRow | Unreadable, drop: Drop) -> Fixed:
        return Fixed(place.file, place.line, None, "", (drop,) if drop.fix in self._accepted else ())

    def _mended(
        self, raw: RawRow, row: Row | Unusable
    ) -> tuple[Mapping[str, Any], Row | Unusable, Look | None, tuple[Change, ...]]:
        """The values, the row and its look after all accepted changes, and those changes."""
        values, changes = raw.values, list[Change]()
        seen = look(row) if isinstance(row, Row) else None
        # One edit can make room for another: an entity that a control character broke in two.
        for _ in range(_ROUNDS):
            better, more = edit_texts(values, self._mapping, self._edits(seen))
            if "roles" in self._accepted:
                better, renamed = edit_roles(better, self._mapping)
                more += renamed
            if "role-order" in self._accepted and _is_out_of_order(row):
                better, merged = merge_turns(better, self._mapping)
                more += merged
            if not more:
                break
            values, changes = better, changes + more
            row = to_row(RawRow(raw.file, raw.line, values), self._mapping)
            seen = look(row) if isinstance(row, Row) else None
        return values, row, seen, tuple(changes)

    def _edits(self, seen: Look | None) -> Mapping[str, Edit]:
        """The accepted edits that a row needs, as the checks of single rows see it."""
        needed = set(_ANY_ROW)
        if seen is not None:
            needed = {fix for fix, check in _NEEDED.items() if check(seen) is not None}
            # What one of these leaves behind can be what another is for.
            needed |= _CHARACTERS if needed & _CHARACTERS else set()
            needed.add("outer-whitespace")
        return {fix: edit for fix, edit in _EDITS.items() if fix in needed and fix in self._accepted}

    def _waiting(
        self, values: Mapping[str, Any], row: Row | Unusable, seen: Look | None
    ) -> tuple[Change, ...]:
        """The changes that need a yes."""
        waiting: list[Change] = []
        missing = _ASKED - set(self._accepted) - set(self._ignored)
        if "role-order" in missing and _is_out_of_order(row):
            waiting += merge_turns(values, self._mapping)[1]
        for fix, edit in REDACTIONS.items():
            if fix in missing and (seen is None or _NEEDED[fix](seen) is not None):
                waiting += edit_texts(values, self._mapping, {fix: edit})[1]
        return tuple(waiting)

    def _drops(self, row: Row | Unusable, seen: Look | None) -> Iterator[Drop]:
        """Every reason to drop a row; those that need earlier rows last, when no other applies."""
        if isinstance(row, Unusable):
            if row.id not in _NOT_THE_ROWS:
                yield Drop(row.id if row.id == "empty-answer" else "unusable", f"{row.what} {row.excerpt}")
            return
        text = row.answer if row.text is None else row.text
        if self._held_out and self._held_out & leak_keys(row):
            yield Drop("leakage", text)
        if seen is not None and refusals(seen) is not None:
            yield Drop("refusals", text)
        if self._is_cut(row):
            yield Drop("answer-cut", text)
        if int(row.id, 16) in self._kept:
            yield Drop("duplicates", text)
            return
        self._kept.add(int(row.id, 16))
        if row.text is None and row.chosen is None and row.label is None:
            asked, answer = _key([row.messages[:-1], row.tools]), _key(row.messages[-1])
            if self._answers.setdefault(asked, answer) != answer:
                yield Drop("conflicting-answers", text)

    def _is_cut(self, row: Row) -> bool:
        if self._tokenizer is None or self._seq_len is None or row.text is not None:
            return False
        encoded = next(encode_rows([row], self._tokenizer))
        return not isinstance(encoded, Unusable) and encoded.needed > self._seq_len


def leak_keys(row: Row) -> frozenset[int]:
    """What a row to train on must not share with a held-out one: its content, and its question normalised."""
    asked = row.text if row.text is not None else " ".join(turn["content"] for turn in row.dialogue[:-1])
    return frozenset((int(row.id, 16), _key(normalised(asked) or asked)))


def _is_out_of_order(row: Row | Unusable) -> bool:
    return isinstance(row, Unusable) and row.id == "role-order"


def _key(value: object) -> int:
    """64 bits of a hash of the content."""
    content = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return int.from_bytes(hashlib.blake2b(content.encode(), digest_size=8).digest())
