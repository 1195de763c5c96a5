"""Packing, padding and steps."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_ft.data.windows import windows
from tui_ft.planning.batches import SAMPLE, Spread, packed, padded_tokens, steps_per_epoch

lengths = st.lists(st.integers(1, 300), min_size=1, max_size=200)


def best_fit_decreasing(rows: list[int], room: int) -> int:
    """The plain algorithm, one row after the other."""
    free: list[int] = []
    for row in sorted((min(row, room) for row in rows), reverse=True):
        fitting = [space for space in free if space >= row]
        if fitting:
            free.remove(min(fitting))
            free.append(min(fitting) - row)
        else:
            free.append(room - row)
    return len(free)


@given(lengths, st.integers(1, 512))
def test_packing_counts_what_best_fit_decreasing_makes(rows: list[int], room: int) -> None:
    assert packed(rows, room) == best_fit_decreasing(rows, room)


@given(lengths, st.integers(1, 512))
def test_packing_loses_no_token_and_makes_no_more_sequences_than_rows(rows: list[int], room: int) -> None:
    tokens = sum(min(row, room) for row in rows)
    assert math.ceil(tokens / room) <= packed(rows, room) <= len(rows)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=4), st.integers(1, 3))
def test_padding_is_the_expected_longest_of_a_batch(rows: list[int], size: int) -> None:
    draws = [max(draw) for draw in itertools.product(rows, repeat=size)]
    assert padded_tokens(sorted(rows), size) == pytest.approx(sum(draws) / len(draws))


def test_nothing_to_pad() -> None:
    assert padded_tokens([], 4) == 0


@pytest.mark.parametrize(
    ("sequences", "micro_batch", "grad_accum", "steps"),
    [(558, 4, 4, 35), (1, 4, 4, 1), (16, 4, 4, 1), (17, 4, 4, 2)],
)
def test_steps_are_counted_as_the_trainer_does(
    sequences: int, micro_batch: int, grad_accum: int, steps: int
) -> None:
    assert steps_per_epoch(sequences, micro_batch, grad_accum) == steps


@given(lengths, st.integers(1, 400), st.integers(1, 8))
def test_a_spread_counts_what_its_rows_do(rows: list[int], limit: int, size: int) -> None:
    spread, kept = Spread.of(rows), sorted(min(row, limit) for row in rows)
    for _ in range(2):  # the second time from memory
        assert spread.kept(limit) == kept
        assert spread.mean(limit) == pytest.approx(sum(kept) / len(kept))
        assert spread.padded(limit, size) == pytest.approx(padded_tokens(kept, size))
        assert spread.sequences(len(rows), limit) == packed(rows, limit)
    assert spread.cut(limit) == sum(row > limit for row in rows)
    assert spread.share_cut(limit) == spread.cut(limit) / len(rows)
    assert spread.longest == max(rows)


def test_many_rows_are_sampled_but_cut_exactly() -> None:
    rows = range(1, 50 * SAMPLE + 1)
    spread = Spread.of(rows)
    assert SAMPLE <= len(spread.kept(10**6)) < 2 * SAMPLE
    assert spread.mean(10**6) == pytest.approx(25 * SAMPLE, rel=0.01)
    assert spread.cut(50 * SAMPLE - 7) == 7


def test_unknown_lengths_are_not_zero() -> None:
    assert not Spread()
    assert Spread().share_cut(10) is None


@given(length=st.integers(1, 500), limit=st.integers(2, 100))
def test_pieces_of_a_long_text_are_counted_as_they_are_made(length: int, limit: int) -> None:
    made = [len(ids) for ids, _ in windows(range(length), [True] * length, limit)]
    spread = Spread.of([length], in_pieces=True)
    assert spread.kept(limit) == sorted(made)
    assert spread.rows(1, limit) == len(made)
    assert spread.share_cut(limit) == 0
