"""Which rows are held out: decided by a hash of each row's content and a seed.

A row's place does not depend on its position in the file or on the other rows, so re-ordering or adding
rows moves none, and exact duplicates always stay on one side. The one exception is a set so small that
a share would come out empty: then the rows nearest to it are taken.
"""

from __future__ import annotations

import hashlib
import heapq
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Side = Literal["train", "validation", "test"]

SIDES: tuple[Side, ...] = ("train", "validation", "test")
# Below this many rows nothing is held out by force: every row is needed, and no share means anything.
FEWEST_TO_SPLIT = 10
_RANGE = 1 << 64


@dataclass(frozen=True, slots=True)
class Split:
    """Places of rows on a line from 0 to 2**64: first the test rows, then validation, then training."""

    seed: int
    test_below: int
    validation_below: int
    kept_below: int = _RANGE

    def side(self, row_id: str) -> Side | None:
        """Where a row belongs; None when `max_rows` leaves it out."""
        if self.kept_below < _RANGE and place(row_id, self.seed, "keep") >= self.kept_below:
            return None
        at = place(row_id, self.seed, "split")
        if at < self.test_below:
            return "test"
        return "validation" if at < self.validation_below else "train"


def place(row_id: str, seed: int, purpose: str) -> int:
    """Where a row stands between 0 and 2**64, evenly spread and independent for each purpose."""
    digest = hashlib.sha256(f"{purpose}:{seed}:{row_id}".encode()).digest()
    return int.from_bytes(digest[:8])


def plan_split(
    row_ids: Iterable[str], *, validation: float, test: float, seed: int, max_rows: int = 0
) -> Split:
    """The split of these rows by shares of 1. Duplicates may be among the ids and count as rows.

    With at least 10 rows and enough different ones, a share above 0 gets at least one row. `max_rows`
    keeps that many at most, chosen by the seed; 0 keeps all.
    """
    ids = list(row_ids)
    kept_below = _RANGE
    if 0 < max_rows < len(ids):
        # The first row too many is left out, and with it rows equal to it.
        kept_below = heapq.nsmallest(max_rows + 1, (place(row_id, seed, "keep") for row_id in ids))[-1]
        ids = [row_id for row_id in ids if place(row_id, seed, "keep") < kept_below]
    test_below = round(test * _RANGE)
    held_out = round(validation * _RANGE)
    places = sorted({place(row_id, seed, "split") for row_id in ids})
    if len(ids) < FEWEST_TO_SPLIT or len(places) <= (test > 0) + (validation > 0):
        return Split(seed, test_below, test_below + held_out, kept_below)
    if test > 0:
        test_below = _reach(places, 0, test_below)
    validation_below = test_below + held_out
    if validation > 0:
        validation_below = _reach(places, test_below, validation_below)
    return Split(seed, test_below, validation_below, kept_below)


def _reach(places: Sequence[int], begin: int, end: int) -> int:
    """`end`, or as far beyond it as it takes to have one of the sorted places at or after `begin`."""
    first = bisect_left(places, begin)
    return max(end, places[first] + 1) if first < len(places) else end
