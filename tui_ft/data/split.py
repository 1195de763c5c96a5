"""Which rows are held out: decided by a hash of each row's key and a seed.

The key is the row's content, or the group it belongs to. A row's place does not depend on its position
in the file or on the other rows, so re-ordering, adding, mending or dropping rows moves no other row, and
rows with one key always stay on one side. Where a rule needs to look at the other rows it says so:

- a set so small that a share would come out empty: then the rows nearest to it are taken;
- a cap on the rows held out: as a set grows beyond it, rows move from the held-out sides to training,
  never back;
- strata with exact shares: a new row can move the row at the edge of its own stratum;
- time: new rows are the newest, so older ones move from test to validation to training.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Side = Literal["train", "validation", "test"]

SIDES: tuple[Side, ...] = ("train", "validation", "test")
# Below this many rows nothing is held out by force: every row is needed, and no share means anything.
FEWEST_TO_SPLIT = 10
_RANGE = 1 << 64


@dataclass(frozen=True, slots=True)
class Traits:
    """What decides the side of a row: 16 hex digits that rows of one group share, a label, a time in s."""

    key: str
    stratum: str = ""
    time: float | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """Two pieces of a line from 0 to 2**64: test rows lie below the first bound, validation between two."""

    test_below: int
    validation_from: int
    validation_below: int

    def side(self, at: int) -> Side:
        """The side of a place on the line."""
        if at < self.test_below:
            return "test"
        return "validation" if self.validation_from <= at < self.validation_below else "train"


@dataclass(frozen=True, slots=True)
class Split:
    """The rule that gives each row its side.

    `bounds` are by stratum, those of "" serve strata without bounds of their own. `together` names for a
    key the key it stays with; `strata` and `times` hold what a key has whose rows differ.
    """

    seed: int
    bounds: Mapping[str, Bounds]
    kept_below: int = _RANGE
    mixed_below: int = _RANGE
    newest: tuple[float, float] | None = None  # validation and test begin at these times
    together: Mapping[str, str] = field(default_factory=dict)
    strata: Mapping[str, str] = field(default_factory=dict)
    times: Mapping[str, float] = field(default_factory=dict)

    def side(self, key: str, stratum: str = "", time: float | None = None) -> Side | None:
        """Where a row belongs; None when `max_rows` leaves it out."""
        key = self.together.get(key, key)
        if self.kept_below < _RANGE and place(key, self.seed, "keep") >= self.kept_below:
            return None
        if self.newest is not None:
            return self._by_time(self.times.get(key, time))
        bounds = self.bounds.get(self.strata.get(key, stratum)) or self.bounds[""]
        return bounds.side(place(key, self.seed, "split"))

    def mixes(self, row_id: str) -> bool:
        """True for rows of general data that are trained on."""
        return self.mixed_below == _RANGE or place(row_id, self.seed, "mix") < self.mixed_below

    def _by_time(self, time: float | None) -> Side:
        validation_from, test_from = self.newest or (math.inf, math.inf)
        if time is None:
            return "train"
        return "test" if time >= test_from else "validation" if time >= validation_from else "train"


def place(row_id: str, seed: int, purpose: str) -> int:
    """Where a row stands between 0 and 2**64, evenly spread and independent for each purpose."""
    digest = hashlib.sha256(f"{purpose}:{seed}:{row_id}".encode()).digest()
    return int.from_bytes(digest[:8])


def plan_split(
    keys: Iterable[str],
    *,
    validation: float,
    test: float,
    seed: int,
    max_rows: int = 0,
    cap: int = 0,
    strata: Sequence[str] | None = None,
    times: Sequence[float | None] | None = None,
    together: Mapping[str, str] | None = None,
) -> Split:
    """The split of rows with these keys by shares of 1. A key that comes again counts as a row each time.

    With at least 10 rows and enough different keys, a share above 0 gets at least one row. `max_rows`
    keeps that many at most, chosen by the seed; `cap` holds out that many at most for validation and for
    test; 0 is no limit. `strata` and `times` have one entry per key; with times the newest rows are test,
    the next validation, and rows without a time are trained on.
    """
    together = together or {}
    rows = [together.get(key, key) for key in keys]
    kept_below = _RANGE
    if 0 < max_rows < len(rows):
        # The first row too many is left out, and with it rows equal to it.
        kept_below = heapq.nsmallest(max_rows + 1, (place(key, seed, "keep") for key in rows))[-1]
    kept = [kept_below == _RANGE or place(key, seed, "keep") < kept_below for key in rows]
    left = [key for key, keep in zip(rows, kept, strict=True) if keep]
    if times is not None:
        of_key = _latest(rows, times)
        ordered = sorted(of_key[key] for key in left if key in of_key)
        newest = _newest(ordered, validation, test, cap)
        return Split(seed, {}, kept_below, newest=newest, together=together, times=of_key)
    bounds = {"": _bounds([place(key, seed, "split") for key in left], validation, test, cap)}
    if strata is None:
        return Split(seed, bounds, kept_below, together=together)
    common = _commonest(rows, strata)
    by_stratum: dict[str, list[int]] = {}
    for key, stratum, keep in zip(rows, strata, kept, strict=True):
        if keep:
            by_stratum.setdefault(common.get(key, stratum), []).append(place(key, seed, "split"))
    scale = min(1.0, cap / max(1, len(left) * max(validation, test, 1e-9))) if cap else 1.0
    for stratum, places in by_stratum.items():
        if len(places) >= FEWEST_TO_SPLIT:
            bounds[stratum] = _exact(sorted(places), validation * scale, test * scale)
    return Split(seed, bounds, kept_below, together=together, strata=common)


def with_mix(split: Split, mix_ids: Iterable[str], wanted: int) -> Split:
    """The split that also says which rows of general data are trained on: `wanted` of them, by the seed."""
    places = sorted(place(row_id, split.seed, "mix") for row_id in mix_ids)
    below = places[wanted] if wanted < len(places) else _RANGE
    return Split(
        split.seed, split.bounds, split.kept_below, below, split.newest, split.together, split.strata,
        split.times,
    )  # fmt: skip


def _bounds(places: list[int], validation: float, test: float, cap: int) -> Bounds:
    """Bounds by shares of the line, which do not depend on the rows unless a share is empty or capped."""
    test_below = round(test * _RANGE)
    validation_from, held_out = test_below, round(validation * _RANGE)
    places.sort()
    different = sorted(set(places))
    if len(places) < FEWEST_TO_SPLIT or len(different) <= (test > 0) + (validation > 0):
        return Bounds(test_below, validation_from, validation_from + held_out)
    if test > 0:
        test_below = _reach(different, 0, _capped(places, 0, test_below, cap))
        validation_from = max(validation_from, test_below)
    validation_below = validation_from + held_out
    if validation > 0:
        validation_below = _reach(
            different, validation_from, _capped(places, validation_from, validation_below, cap)
        )
    return Bounds(test_below, validation_from, validation_below)


def _capped(places: Sequence[int], begin: int, end: int, cap: int) -> int:
    """`end`, or as far before it as it takes to have at most `cap` of the sorted places from `begin` on."""
    first = bisect_left(places, begin)
    return min(end, places[first + cap]) if cap and first + cap < len(places) else end


def _reach(places: Sequence[int], begin: int, end: int) -> int:
    """`end`, or as far beyond it as it takes to have one of the sorted places at or after `begin`."""
    first = bisect_left(places, begin)
    return max(end, places[first] + 1) if first < len(places) else end


def _exact(places: Sequence[int], validation: float, test: float) -> Bounds:
    """Bounds that hold out the same shares of every stratum, to the row; at least one row of each."""
    tested = max(1, round(test * len(places))) if test else 0
    validated = max(1, round(validation * len(places))) if validation else 0
    test_below = places[tested] if tested < len(places) else _RANGE
    end = tested + validated
    return Bounds(test_below, test_below, places[end] if end < len(places) else _RANGE)


def _commonest(keys: Sequence[str], strata: Sequence[str]) -> dict[str, str]:
    """The stratum of keys whose rows are in several: the commonest, by name where two are."""
    first: dict[str, str] = {}
    several: dict[str, Counter[str]] = {}
    for key, stratum in zip(keys, strata, strict=True):
        if first.setdefault(key, stratum) != stratum:
            several[key] = Counter()
    for key, stratum in zip(keys, strata, strict=True) if several else ():
        if key in several:
            several[key][stratum] += 1
    return {key: min(seen, key=lambda name: (-seen[name], name)) for key, seen in several.items()}


def _latest(keys: Sequence[str], times: Sequence[float | None]) -> dict[str, float]:
    """The newest time of each key."""
    latest: dict[str, float] = {}
    for key, time in zip(keys, times, strict=True):
        if time is not None:
            latest[key] = max(time, latest.get(key, time))
    return latest


def _newest(times: Sequence[float], validation: float, test: float, cap: int) -> tuple[float, float]:
    """The times at which validation and test begin. Rows of one time stay on one side."""
    if len(times) < FEWEST_TO_SPLIT:
        return math.inf, math.inf
    most = cap or len(times)
    test_from = _begin(times, len(times), min(most, round(test * len(times))), test)
    rest = bisect_left(times, test_from)
    validated = min(most, round(validation * len(times)))
    return min(test_from, _begin(times, rest, validated, validation)), test_from


def _begin(times: Sequence[float], end: int, wanted: int, share: float) -> float:
    """The time from which on nearest to `wanted` of the sorted times before number `end` lie.

    Infinity when none are wanted, or when all have one time.
    """
    if not share or not end:
        return math.inf
    at = times[max(0, end - max(1, wanted))]
    below, above = bisect_left(times, at), bisect_right(times, at)
    if above < end and (below == 0 or wanted - (end - above) <= (end - below) - wanted):
        return times[above]
    return at if below else math.inf
