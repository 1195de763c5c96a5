"""How rows become batches: packing, padding, steps. Pure counting, nothing is tokenised here."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Sequence


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


def steps_per_epoch(sequences: int, micro_batch: int, grad_accum: int) -> int:
    """Updates in one pass, counted as transformers' Trainer does: a last, smaller batch is an update too."""
    return max(1, math.ceil(math.ceil(sequences / micro_batch) / grad_accum))
