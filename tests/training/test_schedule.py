"""The learning rate of runs that were made longer never jumps and always goes on learning."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_ft.training.schedule import Schedule, words

SHAPES = ("cosine", "linear", "constant")


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """A schedule with one to three extensions, each at a step that was reached."""
    length = draw(st.integers(2, 300))
    warmup = draw(st.integers(0, length // 2))
    ends = [(0, length)]
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(ends[-1][0], ends[-1][1]))
        ends.append((at, ends[-1][1] + draw(st.integers(1, 300))))
    return Schedule(draw(st.sampled_from(SHAPES)), warmup, tuple(ends))


@given(schedules())
def test_the_rate_goes_on_from_what_it_was_and_stays_within_bounds(schedule: Schedule) -> None:
    before = Schedule(schedule.shape, schedule.warmup, schedule.ends[:-1])
    began, end = schedule.ends[-1]
    rates = [schedule.factor(step) for step in range(end + 1)]
    assert rates[: began + 1] == pytest.approx([before.factor(step) for step in range(began + 1)])
    assert all(0 <= rate <= 1 for rate in rates)
    if end - began > 1:  # a single step more goes on from the rate there was, and has no room to fall
        assert any(rate > 0 for rate in rates[began:end])
        assert rates[-1] == pytest.approx(0.0 if schedule.shape != "constant" else rates[-2])


@given(schedules())
def test_after_an_extension_it_falls_unless_it_was_spent(schedule: Schedule) -> None:
    began, end = schedule.ends[-1]
    start, rise, top = schedule.tail()
    if began < schedule.warmup:
        return
    if start >= 0.1:
        assert rise == 0
    after = [schedule.factor(step) for step in range(began + rise, end + 1)]
    assert after[0] == pytest.approx(top)
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(after))


def test_it_is_transformers_own_schedule_before() -> None:
    plain = Schedule("cosine", 10, ((0, 100),))
    assert plain.factor(5) == 0.5
    assert plain.factor(55) == 0.5 * (1.0 + math.cos(math.pi * 0.5))
    assert plain.factor(100) == 0.0


def test_a_finished_run_rises_to_what_a_longer_plan_would_have_had() -> None:
    longer = Schedule("cosine", 0, ((0, 100), (100, 200)))
    assert longer.factor(100) == 0.0
    assert longer.factor(105) == pytest.approx(0.5)
    assert max(longer.factor(step) for step in range(100, 201)) == pytest.approx(0.5)
    assert words(longer, 2e-4) == (
        "The run is extended from 100 to 200 steps at step 100. The learning rate had fallen to 0; "
        "it rises over 5 steps to 0.0001, then falls to 0 at the new end."
    )


def test_a_run_on_its_way_falls_more_slowly_from_where_it_is() -> None:
    longer = Schedule("linear", 0, ((0, 100), (50, 200)))
    assert longer.factor(50) == 0.5
    assert longer.factor(125) == 0.25
    assert "goes on from 0.0001 and falls to 0 at the new end" in words(longer, 2e-4)
    constant = Schedule("constant", 0, ((0, 100), (100, 200)))
    assert "stays at 0.0002" in words(constant, 2e-4)
    early = Schedule("cosine", 20, ((0, 100), (10, 200)))
    assert early.factor(15) == 0.75
    assert "still rising" in words(early, 2e-4)
