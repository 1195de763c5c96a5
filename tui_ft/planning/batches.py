"""How rows become batches: packing, padding, steps. Pure counting, nothing is tokenised here."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

SAMPLE = 1_000  # lengths that padding and packing are counted on when there are many


def packed(lengths: Iterable[int], room: int) -> int:
    """How many sequences of `room` tokens best-fit decreasing needs for these rows; longer rows are cut.

    Counts what trl's packing strategy `bfd` makes. Rows of one length are placed together, so the time
    grows with the number of different lengths, not of rows.
    """
    wanted = Counter(min(length, room) for length in lengths if length > 0)
    bins: Counter[int] = Counter()  # free room -> number of sequences
    free: list[int] = []  # the keys of `bins`, sorted
    made = 0

    def put(space: int, number: int) -> None:
        if number and space:
            if space not in bins:
                insort(free, space)
            bins[space] += number

    for length in sorted(wanted, reverse=True):
        rows = wanted[length]
        while rows:
            at = bisect_left(free, length)
            if at == len(free):
                per_bin = room // length
                full, rest = divmod(rows, per_bin)
                put(room - per_bin * length, full)
                put(room - rest * length, 1 if rest else 0)
                made += full + (1 if rest else 0)
                break
            space = free[at]
            per_bin = space // length
            number = min(bins[space], -(-rows // per_bin))
            last = min(per_bin, rows - (number - 1) * per_bin)
            bins[space] -= number
            if not bins[space]:
                del bins[space]
                free.pop(at)
            put(space - per_bin * length, number - 1)
            put(space - last * length, 1)
            rows -= (number - 1) * per_bin + last
    return made


def padded_tokens(ordered: Sequence[int], micro_batch: int) -> float:
    """Expected tokens per row when rows of a random micro-batch are padded to its longest. `ordered` ascends.

    The longest of n draws is the k-th of m rows with probability (k/m)^n − ((k−1)/m)^n.
    """
    rows = len(ordered)
    if not rows:
        return 0.0
    if micro_batch == 1:
        return sum(ordered) / rows
    below, expected = 0.0, 0.0
    for position, length in enumerate(ordered, start=1):
        share = (position / rows) ** micro_batch
        expected += length * (share - below)
        below = share
    return expected


def _pieces(length: int, limit: int) -> list[int]:
    """What a long text is trained as; each piece repeats the last token of the one before."""
    whole, rest = divmod(max(0, length - 1), limit - 1)
    return [limit] * whole + ([rest + 1] if rest or not whole else [])


def steps_per_epoch(sequences: int, micro_batch: int, grad_accum: int) -> int:
    """Updates in one pass, counted as transformers' Trainer does: a last, smaller batch is an update too."""
    return max(1, math.ceil(math.ceil(sequences / micro_batch) / grad_accum))


@dataclass(frozen=True, eq=False, slots=True)
class Spread:
    """Token lengths of all rows, ascending, and what cutting, padding and packing make of them.

    Rows longer than a limit lose their end; `in_pieces` (plain texts) they become several rows instead.
    Answers are remembered: a search asks the same again and again. False when lengths are unknown.
    """

    ordered: tuple[int, ...] = ()
    in_pieces: bool = False
    _known: dict[tuple[Any, ...], Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, lengths: Iterable[int], *, in_pieces: bool = False) -> Spread:
        """Of lengths in any order."""
        return cls(tuple(sorted(lengths)), in_pieces)

    def __bool__(self) -> bool:
        return bool(self.ordered)

    @property
    def longest(self) -> int:
        """Tokens of the longest row; 0 when unknown."""
        return self.ordered[-1] if self.ordered else 0

    def percentile(self, share: float) -> int:
        """Length that `share` of the rows do not exceed."""
        return self.ordered[min(len(self.ordered) - 1, int(share * len(self.ordered)))]

    def cut(self, limit: int) -> int:
        """Rows that lose their end at `limit`."""
        return 0 if self.in_pieces else len(self.ordered) - bisect_right(self.ordered, limit)

    def share_cut(self, limit: int) -> float | None:
        """Share of the rows that lose their end at `limit`; None when lengths are unknown."""
        return self.cut(limit) / len(self.ordered) if self.ordered else None

    def kept(self, limit: int) -> list[int]:
        """Lengths of what is trained on, ascending; of every n-th row when there are many."""

        def cut() -> list[int]:
            if self.in_pieces:
                return sorted(piece for length in self._some() for piece in _pieces(length, limit))
            return [min(length, limit) for length in self._some()]

        found: list[int] = self._remember(("kept", limit), cut)
        return found

    def rows(self, rows: int, limit: int) -> int:
        """What so many rows of the data become: as many, or more where long texts go in pieces."""
        return round(rows * len(self.kept(limit)) / len(self._some())) if self.in_pieces and self else rows

    def _some(self) -> Sequence[int]:
        step = max(1, len(self.ordered) // SAMPLE)
        return self.ordered[step // 2 :: step]

    def mean(self, limit: int) -> float:
        """Mean tokens of a row after the cut."""
        found: float = self._remember(("mean", limit), lambda: sum(self.kept(limit)) / len(self.kept(limit)))
        return found

    def padded(self, limit: int, micro_batch: int) -> float:
        """Tokens per row of a micro-batch that is padded to its longest row."""
        found: float = self._remember(
            ("padded", limit, micro_batch), lambda: padded_tokens(self.kept(limit), micro_batch)
        )
        return found

    def sequences(self, rows: int, room: int) -> int:
        """Sequences of `room` tokens that so many rows are packed into."""
        share: float = self._remember(
            ("packed", room), lambda: packed(self.kept(room), room) / len(self.kept(room))
        )
        return max(1, math.ceil(rows * share))

    def _remember(self, question: tuple[Any, ...], answer: Callable[[], Any]) -> Any:
        if question not in self._known:
            self._known[question] = answer()
        return self._known[question]
