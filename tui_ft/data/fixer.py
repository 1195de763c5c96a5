"""Fixes applied to a copy of the data: one pass, flat memory, every changed or dropped row in a log.

Rows are first mended, then those are dropped that cannot be learned from, then repeats of rows that were
kept. So what is left needs no second run: fixing it again changes nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tui_ft.data.checks import normalised
from tui_ft.data.convert import to_row
from tui_ft.data.edits import REDACTIONS, TEXT_EDITS, Change, edit_roles, edit_texts, merge_turns
from tui_ft.data.groups import ORIGIN
from tui_ft.data.leftovers import html_remnants
from tui_ft.data.look import look
from tui_ft.data.masks import encode_rows
from tui_ft.data.rows import ColumnMapping, RawRow, Row, Unreadable, Unusable
from tui_ft.data.stock_phrases import refusals

if TYPE_CHECKING:
    from tui_ft.models.tokenizer import ChatTokenizer

# Faults that no dropping of rows cures: the columns have to be named, or another model chosen.
_NOT_THE_ROWS: Final = frozenset({"unknown-columns"})
_ROUNDS = 20


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
            return self._without(
                place.file, place.line, Drop("unparseable", f"{place.what}: {place.excerpt}")
            )
        values, done, offered = self._mended(place)
        waiting: tuple[Change | Drop, ...] = offered
        if any(note == "duplicate-keys" for note, _ in place.notes):
            words = "; ".join(words for _, words in place.notes)
            return self._without(place.file, place.line, Drop("duplicate-keys", words))
        changed = values is not place.values
        row = to_row(_with(place, values), self._mapping)
        was = to_row(place, self._mapping) if changed else row
        row_id = was.id if isinstance(was, Row) else ""
        for drop in self._drops(row):
            if drop.fix in self._ignored:
                continue
            if drop.fix in self._accepted:
                return Fixed(place.file, place.line, None, row_id, (drop,), waiting)
            waiting = (*waiting, drop)
        if isinstance(row, Row) and row_id and row.id != row_id:
            values = {**values, ORIGIN: values.get(ORIGIN) or row_id}
        kept = row if isinstance(row, Row) else None
        return Fixed(place.file, place.line, values, row_id, done, waiting, kept)

    def _without(self, file: str, line: int, drop: Drop) -> Fixed:
        return Fixed(file, line, None, "", (drop,) if drop.fix in self._accepted else ())

    def _mended(self, raw: RawRow) -> tuple[Mapping[str, Any], tuple[Change, ...], tuple[Change, ...]]:
        """The values after all accepted changes, those changes, and the ones that wait for a yes."""
        values, changes = raw.values, list[Change]()
        # One edit can make room for another: an entity that a control character broke in two.
        for _ in range(_ROUNDS):
            better, more = self._once(values, raw)
            if not more:
                break
            values, changes = better, changes + more
        waiting: list[Change] = []
        if "role-order" not in self._accepted and "role-order" not in self._ignored:
            waiting += merge_turns(values, self._mapping)[1]
        for fix, edit in REDACTIONS.items():
            if fix not in self._accepted and fix not in self._ignored:
                waiting += edit_texts(values, self._mapping, {fix: edit})[1]
        return values, tuple(changes), tuple(waiting)

    def _once(self, values: Mapping[str, Any], raw: RawRow) -> tuple[Mapping[str, Any], list[Change]]:
        edits = {fix: edit for fix, edit in {**TEXT_EDITS, **REDACTIONS}.items() if fix in self._accepted}
        if not self._has_remnants(values, raw):
            edits.pop("html-remnants", None)
        better, changes = edit_texts(values, self._mapping, edits)
        if "roles" in self._accepted:
            better, more = edit_roles(better, self._mapping)
            changes += more
        if "role-order" in self._accepted:
            better, more = merge_turns(better, self._mapping)
            changes += more
        return better, changes

    def _has_remnants(self, values: Mapping[str, Any], raw: RawRow) -> bool:
        """True when a text has entities and nothing to do with markup, as the check sees it."""
        if not any("&" in text for text in _strings(values)):
            return False
        row = to_row(_with(raw, values), self._mapping)
        return isinstance(row, Row) and html_remnants(look(row)) is not None

    def _drops(self, row: Row | Unusable) -> Iterator[Drop]:
        """Every reason to drop a row; those that need earlier rows last, when no other applies."""
        if isinstance(row, Unusable):
            if row.id not in _NOT_THE_ROWS:
                yield Drop(row.id if row.id == "empty-answer" else "unusable", f"{row.what} {row.excerpt}")
            return
        text = row.answer if row.text is None else row.text
        if self._held_out and self._held_out & leak_keys(row):
            yield Drop("leakage", text)
        if row.text is None and refusals(look(row)) is not None:
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


def _with(raw: RawRow, values: Mapping[str, Any]) -> RawRow:
    return raw if values is raw.values else RawRow(raw.file, raw.line, values)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, Sequence) and not isinstance(value, bytes):
        for inner in value:
            yield from _strings(inner)


def _key(value: object) -> int:
    """64 bits of a hash of the content."""
    content = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return int.from_bytes(hashlib.blake2b(content.encode(), digest_size=8).digest())
