"""Intervals cover, identical models tie, and the verdict follows the primary metric."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_ft.evaluation.compare import Better, Difference, judge, paired_difference
from tui_ft.evaluation.metrics import Choice

SHARES = st.lists(st.floats(0, 1), min_size=1, max_size=40)


@given(SHARES)
@settings(max_examples=20, deadline=None)
def test_identical_models_tie(scores: list[float]) -> None:
    difference = paired_difference(scores, scores)
    assert difference.value == 0
    assert difference.better == "unclear"
    assert paired_difference(scores, scores, bounded=False, higher_is_better=False).better == "unclear"


@given(SHARES, st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None)
def test_the_interval_holds_the_difference_and_is_the_same_every_time(
    base: list[float], dice: random.Random
) -> None:
    tuned = [dice.random() for _ in base]
    one, two = (paired_difference(base, tuned, seed=3) for _ in range(2))
    assert one == two
    assert one.low <= one.value <= one.high


def test_a_few_equal_wins_are_not_certain() -> None:
    assert paired_difference([0.0] * 3, [1.0] * 3).low < 1.0
    sure = paired_difference([0.0] * 60, [1.0] * 60)
    assert sure.better == "tuned"
    assert sure.low > 0.8


def test_lower_loss_is_better_and_longer_answers_weigh_more() -> None:
    base, tuned = [2.0 + i / 100 for i in range(30)], [1.0 + i / 90 for i in range(30)]
    assert paired_difference(base, tuned, bounded=False, higher_is_better=False).better == "tuned"
    assert paired_difference(tuned, base, bounded=False, higher_is_better=False).better == "base"
    weighed = paired_difference([0.0, 0.0], [1.0, 0.0], [9.0, 1.0], bounded=False)
    assert weighed.value == pytest.approx(0.9)


@pytest.mark.parametrize(("rows", "base_share", "tuned_share"), [(20, 0.05, 0.9), (40, 0.3, 0.6)])
def test_intervals_cover_the_truth_about_as_often_as_they_say(
    rows: int, base_share: float, tuned_share: float
) -> None:
    dice = random.Random(1)
    covered = 0
    for trial in range(60):
        base = [float(dice.random() < base_share) for _ in range(rows)]
        tuned = [float(dice.random() < tuned_share) for _ in range(rows)]
        found = paired_difference(base, tuned, seed=trial)
        covered += found.low <= tuned_share - base_share <= found.high
    assert covered >= 0.9 * 60


def test_rows_are_needed() -> None:
    with pytest.raises(ValueError, match="at least one"):
        paired_difference([], [])


CHOICE = Choice("json", ("json_valid", "exact_match", "loss"), "exact_match", "")
UP, DOWN, FLAT = (
    Difference(0.5, 0.3, 0.7, "tuned"),
    Difference(-0.5, -0.7, -0.3, "base"),
    Difference(0.0, -0.1, 0.1, "unclear"),
)


@pytest.mark.parametrize(
    ("json_valid", "exact_match", "loss", "verdict", "words"),
    [
        (UP, UP, UP, "clearly better", "exactly right 10 % → 60 %"),
        (FLAT, UP, DOWN, "clearly better", "exactly right"),
        (DOWN, UP, UP, "no clear difference", "got worse: valid JSON"),
        (FLAT, FLAT, UP, "no clear difference", "may be chance"),
        (UP, FLAT, UP, "no clear difference", "gained in: valid JSON"),
        (DOWN, FLAT, UP, "worse", "valid JSON"),
        (UP, DOWN, UP, "worse", "worse than the base"),
    ],
)
def test_verdicts(
    json_valid: Difference, exact_match: Difference, loss: Difference, verdict: str, words: str
) -> None:
    values = {"json_valid": 0.1, "exact_match": 0.1, "loss": 2.0}
    tuned = {"json_valid": 0.6, "exact_match": 0.6, "loss": 1.0}
    differences = {"json_valid": json_valid, "exact_match": exact_match, "loss": loss}
    found, sentence = judge(CHOICE, values, tuned, differences, 60)
    assert found == verdict
    assert words in sentence
    assert "60 unseen rows" in sentence or "got worse" in sentence


def test_few_rows_are_said_to_be_few() -> None:
    same = {"exact_match": 1.0}
    choice = Choice("label", ("exact_match",), "exact_match", "")
    assert "Only 8 rows" in judge(choice, same, same, {"exact_match": FLAT}, 8)[1]


@pytest.mark.parametrize(
    ("tuned_loss", "verdict"), [(1.99, "no clear difference"), (1.9, "clearly better"), (2.2, "worse")]
)
def test_a_sure_but_tiny_gain_in_loss_is_no_gain(tuned_loss: float, verdict: str) -> None:
    choice = Choice("text", ("loss",), "loss", "")
    sign: Better = "tuned" if tuned_loss < 2 else "base"
    change = Difference(tuned_loss - 2, tuned_loss - 2.005, tuned_loss - 1.995, sign)
    assert judge(choice, {"loss": 2.0}, {"loss": tuned_loss}, {"loss": change}, 90)[0] == verdict
