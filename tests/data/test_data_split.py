"""The split depends on each row's content and the seed, and on nothing else."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_ft.data.split import Split, plan_split


def ids(number: int, salt: str = "") -> list[str]:
    return [hashlib.sha256(f"{salt}{i}".encode()).hexdigest()[:16] for i in range(number)]


def sides(split: Split, rows: list[str]) -> Counter[str | None]:
    return Counter(split.side(row) for row in rows)


def test_shares_are_kept_and_repeatable() -> None:
    rows = ids(10_000)
    split = plan_split(rows, validation=0.1, test=0.2, seed=42)
    found = sides(split, rows)
    assert found["validation"] == pytest.approx(1000, abs=100)
    assert found["test"] == pytest.approx(2000, abs=130)
    assert split == plan_split(reversed(rows), validation=0.1, test=0.2, seed=42)
    assert sides(plan_split(rows, validation=0.1, test=0.2, seed=7), rows) != found


def test_growth_moves_no_row() -> None:
    rows = ids(5000)
    before = plan_split(rows[:500], validation=0.1, test=0.1, seed=1)
    after = plan_split(rows, validation=0.1, test=0.1, seed=1)
    assert [before.side(row) for row in rows[:500]] == [after.side(row) for row in rows[:500]]


def test_no_share_holds_out_nothing() -> None:
    rows = ids(100)
    assert sides(plan_split(rows, validation=0, test=0, seed=1), rows) == {"train": 100}


def test_max_rows_keeps_that_many_chosen_by_the_seed() -> None:
    rows = ids(1000)
    split = plan_split(rows, validation=0.1, test=0.1, seed=3, max_rows=200)
    kept = [row for row in rows if split.side(row)]
    assert len(kept) == 200
    assert kept != rows[:200]
    assert sides(split, kept)["validation"] == pytest.approx(20, abs=12)
    assert plan_split(rows, validation=0.1, test=0.1, seed=3, max_rows=5000).side(rows[0]) is not None


def test_max_rows_counts_duplicates() -> None:
    rows = ids(10) * 10
    split = plan_split(rows, validation=0, test=0, seed=3, max_rows=35)
    assert sum(split.side(row) is not None for row in rows) <= 35


@given(
    st.integers(10, 60),
    st.sampled_from([0, 0.01, 0.1, 0.3]),
    st.sampled_from([0, 0.01, 0.1, 0.3]),
    st.integers(0, 1000),
    st.text(max_size=3),
)
def test_a_share_is_never_empty_from_ten_rows_on(
    number: int, validation: float, test: float, seed: int, salt: str
) -> None:
    rows = ids(number, salt)
    found = sides(plan_split(rows, validation=validation, test=test, seed=seed), rows)
    assert (found["validation"] > 0) == (validation > 0)
    assert (found["test"] > 0) == (test > 0)
    assert found["train"] > 0
    assert sum(found.values()) == number


@given(st.lists(st.sampled_from(ids(6)), min_size=10, max_size=30), st.integers(0, 50))
def test_duplicates_stay_on_one_side(rows: list[str], seed: int) -> None:
    split = plan_split(rows, validation=0.2, test=0.2, seed=seed)
    assert all(len({split.side(row) for _ in range(2)}) == 1 for row in rows)
    assert sides(split, rows)["train"] > 0 or len(set(rows)) <= 2


def test_a_handful_of_rows_is_left_to_chance() -> None:
    rows = ids(3)
    assert sum(sides(plan_split(rows, validation=0.1, test=0.1, seed=1), rows).values()) == 3
