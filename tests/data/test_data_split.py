"""The split depends on each row's content and the seed, and on nothing else."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_ft.data.groups import check_split_keys, group_key, parse_time
from tui_ft.data.split import Split, plan_split, with_mix
from tui_ft.errors import InputError
from tui_ft.recipe import Data


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


def test_a_cap_holds_out_that_many_and_growth_only_adds_to_training() -> None:
    rows = ids(20_000)
    small = plan_split(rows[:4000], validation=0.1, test=0.1, seed=1, cap=300)
    large = plan_split(rows, validation=0.1, test=0.1, seed=1, cap=300)
    assert sides(small, rows[:4000]) == {"train": 3400, "validation": 300, "test": 300}
    assert sides(large, rows) == {"train": 19_400, "validation": 300, "test": 300}
    moved = Counter((small.side(row), large.side(row)) for row in rows[:4000])
    assert {pair for pair in moved if pair[0] != pair[1]} == {("validation", "train"), ("test", "train")}


def test_dropping_rows_moves_no_other() -> None:
    rows = ids(3000)
    before = plan_split(rows, validation=0.1, test=0.1, seed=5)
    after = plan_split(rows[::2], validation=0.1, test=0.1, seed=5)
    assert [before.side(row) for row in rows[::2]] == [after.side(row) for row in rows[::2]]


@given(st.integers(0, 300), st.integers(0, 60), st.integers(0, 40), st.integers(0, 99))
def test_strata_keep_their_shares_to_the_row(many: int, some: int, few: int, seed: int) -> None:
    labels = ["billing"] * many + ["refund"] * some + ["other"] * few
    rows = ids(len(labels), str(seed))
    split = plan_split(rows, validation=0.1, test=0.2, seed=seed, strata=labels)
    found = Counter((label, split.side(row, label)) for row, label in zip(rows, labels, strict=True))
    for label, number in (("billing", many), ("refund", some), ("other", few)):
        if number >= 10:
            assert found[label, "validation"] == max(1, round(0.1 * number))
            assert found[label, "test"] == max(1, round(0.2 * number))
    assert sum(found.values()) == len(labels)


def test_a_new_row_moves_one_row_of_its_stratum_at_most() -> None:
    rows, labels = ids(500), ["a", "b"] * 250
    before = plan_split(rows[:-1], validation=0.1, test=0.1, seed=2, strata=labels[:-1])
    after = plan_split(rows, validation=0.1, test=0.1, seed=2, strata=labels)
    moved = [
        label
        for row, label in zip(rows[:-1], labels[:-1], strict=True)
        if before.side(row, label) != after.side(row, label)
    ]
    assert set(moved) <= {"b"}
    assert len(moved) <= 2


def test_strata_under_a_cap_and_groups_of_several_labels() -> None:
    rows, labels = ids(4000), ["a"] * 3000 + ["b"] * 1000
    split = plan_split(rows, validation=0.1, test=0.1, seed=1, strata=labels, cap=200)
    found = Counter((label, split.side(row, label)) for row, label in zip(rows, labels, strict=True))
    assert (found["a", "test"], found["b", "test"]) == (150, 50)
    keys, labels = ids(40) * 5, [f"l{i % 3}" for i in range(200)]
    split = plan_split(keys, validation=0.2, test=0.2, seed=1, strata=labels)
    of_key: dict[str, set[str | None]] = {}
    for key, label in zip(keys, labels, strict=True):
        of_key.setdefault(key, set()).add(split.side(key, label))
    assert {len(found_sides) for found_sides in of_key.values()} == {1}


def test_siblings_stay_together() -> None:
    rows = ids(200)
    together = {rows[i]: rows[i - i % 4] for i in range(200) if i % 4}
    split = plan_split(rows, validation=0.2, test=0.2, seed=3, together=together)
    for i in range(0, 200, 4):
        assert len({split.side(row) for row in rows[i : i + 4]}) == 1
    assert set(sides(split, rows)) == {"train", "validation", "test"}


def test_the_newest_rows_are_tested_on() -> None:
    rows = ids(100)
    times = [float(i * 86_400) for i in range(100)]
    split = plan_split(rows, validation=0.1, test=0.2, seed=1, times=times)
    found = [split.side(row, "", time) for row, time in zip(rows, times, strict=True)]
    assert found == ["train"] * 70 + ["validation"] * 10 + ["test"] * 20
    assert split.side("f" * 16, "", None) == "train"
    capped = plan_split(rows, validation=0.1, test=0.2, seed=1, times=times, cap=5)
    assert [capped.side(row, "", time) for row, time in zip(rows, times, strict=True)].count("test") == 5


def test_rows_of_one_time_or_one_key_stay_together() -> None:
    rows = ids(100)
    months = [float(i // 10) for i in range(100)]
    split = plan_split(rows, validation=0.1, test=0.15, seed=1, times=months)
    found = Counter((month, split.side(row, "", month)) for row, month in zip(rows, months, strict=True))
    assert len(found) == 10
    assert {side for _, side in found} == {"train", "validation", "test"}
    same = plan_split(rows, validation=0.1, test=0.1, seed=1, times=[5.0] * 100)
    assert {same.side(row, "", 5.0) for row in rows} == {"train"}
    twice = plan_split(
        [*rows, rows[0]], validation=0.1, test=0.1, seed=1, times=[*map(float, range(100)), 1e6]
    )
    assert twice.side(rows[0], "", 0.0) == twice.side(rows[0], "", 1e6) == "test"


@given(
    st.lists(st.one_of(st.none(), st.integers(0, 30).map(float)), max_size=80),
    st.sampled_from([0, 0.1, 0.4]),
    st.sampled_from([0, 0.1, 0.4]),
)
def test_no_training_row_is_newer_than_a_held_out_one(
    times: list[float | None], validation: float, test: float
) -> None:
    rows = ids(len(times))
    split = plan_split(rows, validation=validation, test=test, seed=1, times=times)
    by_side: dict[str | None, list[float]] = {"train": [], "validation": [], "test": []}
    for row, time in zip(rows, times, strict=True):
        if time is not None:
            by_side[split.side(row, "", time)].append(time)
    newest = [max(by_side[side], default=-1.0) for side in ("train", "validation", "test")]
    oldest = [min(by_side[side], default=99.0) for side in ("train", "validation", "test")]
    assert newest[0] < min(oldest[1:])
    assert newest[1] < oldest[2]
    assert (test > 0) >= bool(by_side["test"])


def test_general_rows_are_drawn_by_the_seed() -> None:
    rows, mix = ids(900), ids(500, "mix")
    split = with_mix(plan_split(rows, validation=0, test=0, seed=1), mix, 100)
    assert sum(split.mixes(row) for row in mix) == 100
    assert all(with_mix(split, mix, 500).mixes(row) for row in mix)


@pytest.mark.parametrize(
    "written",
    [
        "2026-03-31",
        "20260331",
        "2026-03-31T00:00:00Z",
        "2026-03-31 02:00:00+02:00",
        "1774915200",
        "1774915200000",
    ]
    + [1774915200, 1774915200.0, 1774915200 * 10**6, 1774915200 * 10**9, date(2026, 3, 31)]
    + [datetime(2026, 3, 31, tzinfo=UTC)],
)
def test_times_in_many_forms(written: object) -> None:
    assert parse_time(written) == 1774915200


@pytest.mark.parametrize(
    "written", ["", "last week", None, True, [], float("nan"), "2026-13-01", "1e99", 10**40]
)
def test_what_is_no_time(written: object) -> None:
    assert parse_time(written) is None


def test_groups_are_told_by_their_value() -> None:
    assert group_key("anna") == group_key(" anna ") != group_key("bert")
    assert group_key(7) == group_key("7")
    assert len(group_key({"a": 1})) == 16


def test_columns_to_split_by_have_to_be_there() -> None:
    data = Data(path="x", stratify="categry", group_by="customer", split_by_time="date")
    with pytest.raises(InputError) as caught:
        check_split_keys(data, ["category", "client"])
    assert [problem.where for problem in caught.value.problems] == [
        "data.stratify", "data.group_by", "data.split_by_time", "data.split_by_time"
    ]  # fmt: skip
    assert caught.value.fix == "Did you mean category?"
    check_split_keys(Data(path="x", stratify="answer", group_by="near"), [])
