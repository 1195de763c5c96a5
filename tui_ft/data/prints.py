"""Fingerprints of all rows, and what they tell: copies, near copies, contradictions, leakage.

A row leaves 320 bytes behind and nothing else, so a million rows are compared in little memory, after
the last of them was read.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from tui_ft.data.near import LEAST, PERMUTATIONS, hashed, leaders, plain, said, shared, signatures
from tui_ft.data.rows import Row
from tui_ft.data.split import Side
from tui_ft.data.stream import Part
from tui_ft.data.tally import Tally

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tui_ft.data.near import Signatures
    from tui_ft.stretches import Hashes, Indices

_PARTS: tuple[Part, ...] = ("main", "mix", "validation", "test")
_BATCH, _BATCH_BYTES = 512, 1 << 20
_LONGEST = 200_000  # words of a row that are looked at for near copies


class Prints:
    """What is kept of each row to compare it by: its place, four hashes and a signature.

    The hashes are of the row as it is; of all its words, whatever their case and punctuation; of the words
    of the question; and of the words of the answer, 0 where answers cannot contradict each other.
    """

    def __init__(self, common: Hashes) -> None:
        self._common = common
        self._pending: list[_Told] = []
        self._pending_bytes = 0
        self._signatures: list[Signatures] = []
        self._shingles: list[Indices] = []
        self._names: list[str] = []
        self._files = array("H")
        self._lines = array("L")
        self._entries = array("L")
        self._parts = bytearray()
        self._hashes = array("Q")

    def __len__(self) -> int:
        return len(self._parts)

    def __getstate__(self) -> dict[str, Any]:
        self._flush()
        return self.__dict__

    def see(self, row: Row, part: Part, entry: int) -> None:
        """Take the prints of a row; `entry` is its number among all rows that were counted."""
        if row.file not in self._names[-1:]:
            self._names.append(row.file)
        self._files.append(len(self._names) - 1)
        self._lines.append(row.line)
        self._entries.append(entry)
        self._parts.append(_PARTS.index(part))
        told = _told(row)
        self._pending.append(told)
        self._pending_bytes += sum(map(len, told.texts))
        if len(self._pending) >= _BATCH or self._pending_bytes >= _BATCH_BYTES:
            self._flush()

    def merge(self, other: Self, entries: int) -> None:
        """Add the prints of the rows that came next, after `entries` rows were counted here."""
        self._flush()
        other._flush()
        self._files.extend(number + len(self._names) for number in other._files)
        self._names += other._names
        self._lines += other._lines
        self._entries.extend(entry + entries for entry in other._entries)
        self._parts += other._parts
        self._hashes += other._hashes
        self._signatures += other._signatures
        self._shingles += other._shingles

    def compare(self) -> Likeness:
        """Which rows are alike, after the last one."""
        import numpy as np

        self._flush()
        shape = (0, PERMUTATIONS)
        # One block after the other goes into one array: all at once would take the memory twice.
        found = np.empty((len(self), PERMUTATIONS), np.uint32)
        begin = 0
        for block in self._signatures or [np.empty(shape, np.uint32)]:
            found[begin : begin + len(block)] = block
            begin += len(block)
        self._signatures = [found]
        shingled = np.concatenate(self._shingles or [np.empty(0, np.int64)])
        hashes = np.frombuffer(self._hashes, np.uint64).reshape(-1, 4)
        return Likeness(
            np.frombuffer(self._parts, np.uint8), hashes, np.array(self._entries, np.int64), found, shingled
        )

    def place(self, i: int) -> tuple[str, int]:
        """The file and the line of a row."""
        return self._names[self._files[i]], self._lines[i]

    def _flush(self) -> None:
        """Take the hashes and signatures of the rows that wait for it."""
        if not self._pending:
            return
        import numpy as np

        rows = self._pending
        words, numbers = hashed([text for told in rows for text in told.texts])
        ends = np.cumsum(numbers).tolist()
        raw, begin, number = words.tobytes(), 0, 0
        for told in rows:
            parts: list[bytes] = []
            for _ in told.texts:
                parts.append(raw[8 * begin : 8 * ends[number]])
                begin, number = ends[number], number + 1
            self._hashes.extend(told.hashes(parts))
        own = np.fromiter((flag for told in rows for flag in told.own), np.bool_, len(numbers))
        firsts = np.cumsum([0, *[len(told.texts) for told in rows[:-1]]])
        owned = np.add.reduceat(numbers * own, firsts)
        words = words[np.repeat(own, numbers)]
        if owned.max() > _LONGEST:
            place = np.arange(len(words)) - np.repeat(np.cumsum(owned) - owned, owned)
            words, owned = words[place < _LONGEST], np.minimum(owned, _LONGEST)
        found, counts = signatures(words, owned, self._common)
        self._signatures.append(found)
        self._shingles.append(counts)
        self._pending, self._pending_bytes = [], 0


class Likeness:
    """Which rows are alike, as indices of their prints: `same` as they are, `equal` but for case, spacing
    and punctuation, `near` by their signatures. Each names the first such row, by default the row itself."""

    def __init__(
        self,
        parts: NDArray[np.uint8],
        hashes: NDArray[np.uint64],
        entries: Indices,
        found: Signatures,
        shingled: Indices,
    ) -> None:
        import numpy as np

        self.parts, self.entries = parts, entries
        self.ids, self.questions, self.answers = hashes[:, 0], hashes[:, 2], hashes[:, 3]
        own = np.arange(len(parts))
        self.same = _first_of(self.ids)
        self.equal = _first_of(hashes[:, 1])
        self.near = leaders(found, (self.equal == own) & (shingled >= LEAST))
        # A copy belongs where the row belongs that it is a copy of.
        self.group = self.near[self.equal]

    def together(self, key: Callable[[int], str]) -> dict[str, str]:
        """For the key of each main row with a copy or near copy, the key of the first of them.

        `key` gives the key of a row by the number it was counted with.
        """
        stays: dict[str, str] = {}
        main = self.parts == 0
        first = _first_of(self.group, main)
        for i in _indices(main & (first != _own(first))):
            mine, leading = key(int(self.entries[i])), key(int(self.entries[first[i]]))
            if mine != leading:
                stays.setdefault(mine, stays.get(leading, leading))
        return stays


def state(prints: Prints, alike: Likeness, sides: Sequence[Side | None], tally: Tally) -> None:
    """Add the findings. `sides` are those of all rows that were counted, by entry."""
    for finding, pairs, words_for in (
        ("duplicates", _copies(alike), "as {}"),
        ("copies", equal_copies(alike), "as {}"),
        ("conflicting-answers", _conflicts(alike), "{} answers it otherwise"),
        ("near-duplicates", near_copies(alike), "nearly as {}"),
        ("leakage", _leaks(alike), "as {}"),
        ("near-leakage", _near_leaks(alike), "nearly as {}"),
        ("split-siblings", _siblings(alike, sides), "much as {}, which is held out"),
    ):
        for row, other in pairs:
            file, line = prints.place(other)
            tally.add(finding, *prints.place(row), words_for.format(f"{file}:{line}"))


Pairs = Iterator[tuple[int, int]]


def _copies(alike: Likeness) -> Pairs:
    main = alike.parts == 0
    first = _first_of(alike.ids, main)
    return _listed(main & (first != _own(first)), first)


def _fresh(alike: Likeness) -> NDArray[np.bool_]:
    """Main rows that are no exact copy of an earlier main row."""
    fresh: NDArray[np.bool_] = alike.parts == 0
    first = _first_of(alike.ids, fresh)
    fresh &= first == _own(first)
    return fresh


def equal_copies(alike: Likeness) -> Pairs:
    """Main rows that are an earlier one but for case, spacing and punctuation, with the first such row."""
    fresh = _fresh(alike)
    first = _first_of(alike.equal, fresh)
    return _listed(fresh & (first != _own(first)), first)


def _differing(alike: Likeness) -> NDArray[np.bool_]:
    """Main rows that are not the words of an earlier main row."""
    fresh = _fresh(alike)
    first = _first_of(alike.equal, fresh)
    fresh &= first == _own(first)
    return fresh


def _conflicts(alike: Likeness) -> Pairs:
    able = _differing(alike) & (alike.answers != 0)
    first = _first_of(alike.questions, able)
    return _listed(able & (alike.answers[first] != alike.answers), first)


def near_copies(alike: Likeness) -> Pairs:
    """Main rows that are nearly an earlier one and do not contradict it, with the first such row."""
    able = _differing(alike)
    conflicting = _first_of(alike.questions, able & (alike.answers != 0))
    able &= (conflicting == _own(conflicting)) | (alike.answers == 0)
    first = _first_of(alike.group, able)
    return _listed(able & (first != _own(first)), first)


def _leaks(alike: Likeness) -> Pairs:
    return _listed(*_leaked(alike))


def _leaked(alike: Likeness) -> tuple[NDArray[np.bool_], Indices]:
    """Training rows held out as well: the row itself, or its question; and the first row held out so."""
    held = alike.parts >= 2
    whole, question = _first_where(alike.same, held), _first_where(alike.questions, held)
    first = _where(whole >= 0, whole, question)
    return ~held & (first >= 0), first


def _near_leaks(alike: Likeness) -> Pairs:
    leaked, _ = _leaked(alike)
    held = alike.parts >= 2
    first = _first_where(alike.group, held)
    return _listed(~held & ~leaked & (first >= 0), first)


def _siblings(alike: Likeness, sides: Sequence[Side | None]) -> Pairs:
    """Main rows trained on whose near copy the split holds out."""
    import numpy as np

    by_entry = np.fromiter((_SIDE_CODES.get(side, 0) for side in sides), np.int8, len(sides))
    side = by_entry[alike.entries]
    main = alike.parts == 0
    first = _first_where(alike.group, main & (side == 2))
    return _listed(main & (side == 1) & (first >= 0), first)


_SIDE_CODES: Mapping[Side | None, int] = {"train": 1, "validation": 2, "test": 2}


def _own(first: Indices) -> Indices:
    import numpy as np

    return np.arange(len(first))


def _where(test: NDArray[np.bool_], yes: Indices, no: Indices) -> Indices:
    import numpy as np

    return np.where(test, yes, no)


def _first_of(keys: NDArray[Any], among: NDArray[np.bool_] | None = None) -> Indices:
    """For each row the first one with its key; rows outside of `among` stand for themselves."""
    import numpy as np

    rows = np.arange(len(keys)) if among is None else np.flatnonzero(among)
    rows = rows[shared(keys[rows])]
    first = np.arange(len(keys))
    _, at, inverse = np.unique(keys[rows], return_index=True, return_inverse=True)
    first[rows] = rows[at][inverse]
    return first


def _first_where(keys: NDArray[Any], wanted: NDArray[np.bool_]) -> Indices:
    """For each row the first of the wanted rows with its key, -1 when none has it."""
    import numpy as np

    rows = np.flatnonzero(wanted)
    found = np.full(len(keys), -1, np.int64)
    if len(rows):
        values, at = np.unique(keys[rows], return_index=True)
        place = np.searchsorted(values, keys)
        place[place == len(values)] = 0
        hit = values[place] == keys
        found[hit] = rows[at][place[hit]]
    return found


def _listed(rows: NDArray[np.bool_], others: Indices) -> Pairs:
    return ((i, int(others[i])) for i in _indices(rows))


def _indices(rows: NDArray[np.bool_]) -> list[int]:
    import numpy as np

    return [int(i) for i in np.flatnonzero(rows)]


class _Told(NamedTuple):
    """What a row says: plain texts, which of them are its own, and its tools as JSON."""

    id: int
    texts: list[bytes]
    own: list[bool]
    tools: list[bytes]
    asked: int  # how many of the texts come before the answer
    open_ended: bool  # no two answers contradict each other

    def hashes(self, parts: Sequence[bytes]) -> tuple[int, int, int, int]:
        """Of the row, of all its words, of those of the question and of the answer; `parts` stand for the
        words of the texts."""
        asked = [*parts[: self.asked], *self.tools]
        answer = 0 if self.open_ended else _hash(parts[-1:])
        return self.id, _hash([*parts, *self.tools]), _hash(asked), answer


def _told(row: Row) -> _Told:
    turns = row.dialogue
    said_all = [said(turn) for turn in turns]
    own = [turn["role"] != "system" for turn in turns]
    for part in (row.text, row.rejected):
        if part is not None:
            said_all.append(part)
            own.append(True)
    texts = [plain(text) for text in said_all]
    for i, text in enumerate(texts):
        if not text or text.isspace():
            # A turn of signs alone, such as "???", has no words: it is compared as it is.
            texts[i], own[i] = said_all[i].encode(), False
    tools = [json.dumps(row.tools, sort_keys=True).encode()] if row.tools else []
    # Two preferences for one question, and two documents that begin alike, contradict nothing.
    open_ended = row.text is not None or row.chosen is not None or row.label is not None
    asked = len(texts) if row.text is not None else len(turns) - 1
    return _Told(int(row.id, 16), texts, own, tools, asked, open_ended)


def _hash(parts: Sequence[bytes]) -> int:
    """64 bits of a hash of texts in order; never 0."""
    return int.from_bytes(hashlib.blake2b(b"\n".join(parts), digest_size=8).digest()) or 1
