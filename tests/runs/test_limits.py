"""What a run may take, against a clock that is made up."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from tests.sample_plan import RECIPE
from tui_ft import recipe as recipes
from tui_ft.errors import InputError
from tui_ft.recipe import Limits
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.history import History, read
from tui_ft.runs.idle import IdleGpu, still_billing
from tui_ft.runs.limits import Reached, deadline, limits, near, near_words, reached
from tui_ft.runs.reporter import Reporter
from tui_ft.runs.signs import Signs, Step
from tui_ft.training.budget import Budget

NOON = datetime(2026, 11, 23, 12, 0).timestamp()


def over(settings: Limits, worked_s: float, since_s: float) -> Reached | None:
    return reached(limits(settings, began=NOON), worked_s=worked_s, since_began_s=since_s)


def test_without_limits_nothing_ends() -> None:
    assert limits(Limits(price_per_hour=2), began=NOON) == ()
    assert over(Limits(), 1e9, 1e9) is None


def test_money_is_hours_at_a_price() -> None:
    settings = Limits(price_per_hour=2, max_cost=5)
    assert over(settings, 2.49 * 3600, 1e9) is None
    found = over(settings, 2.5 * 3600, 2.5 * 3600)
    assert found is not None
    assert found.limit.key == "limits.max_cost"
    assert found.limit.what == "the budget of $5"


def test_a_budget_without_a_price_and_a_time_that_is_none_are_refused_together() -> None:
    with pytest.raises(InputError) as caught:
        limits(Limits(max_cost=5, deadline="2026-13-45 10:00"), began=NOON)
    assert [problem.where for problem in caught.value.problems] == ["limits.max_cost", "limits.deadline"]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("6h", datetime(2026, 11, 23, 18, 0)),
        ("90 m", datetime(2026, 11, 23, 13, 30)),
        ("1.5d", datetime(2026, 11, 25, 0, 0)),
        ("12:30", datetime(2026, 11, 23, 12, 30)),
        ("07:30", datetime(2026, 11, 24, 7, 30)),
        ("12:00", datetime(2026, 11, 24, 12, 0)),
        ("2026-12-24 18:00", datetime(2026, 12, 24, 18, 0)),
        ("2026-12-24T18:00:30", datetime(2026, 12, 24, 18, 0, 30)),
    ],
)
def test_a_deadline_is_a_moment(text: str, moment: datetime) -> None:
    recipes.loads(RECIPE).with_values({"limits.deadline": text})
    assert deadline(text, began=NOON) == moment.timestamp()


@pytest.mark.parametrize("text", ["tomorrow", "6", "6 hours", "25:00:00", "-6h"])
def test_what_is_no_deadline_is_no_recipe(text: str) -> None:
    with pytest.raises(InputError, match=r"limits\.deadline"):
        recipes.loads(RECIPE).with_values({"limits.deadline": text})


def test_a_deadline_goes_by_the_clock_and_hours_by_work() -> None:
    assert over(Limits(deadline="6h"), 60, 6 * 3600) is not None
    assert over(Limits(max_hours=6), 60, 6 * 3600) is None


def test_nine_tenths_are_told_with_what_is_left() -> None:
    bounds = limits(Limits(max_hours=10, price_per_hour=1, max_cost=20), began=NOON)
    assert near(bounds, worked_s=8.9 * 3600, since_began_s=0) is None
    found = near(bounds, worked_s=9.5 * 3600, since_began_s=0)
    assert found is not None
    assert near_words(found) == "Nine tenths of the limit of 10 h are gone; the run stops in 30 min."


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_earlier_attempts_count_and_each_word_is_said_once() -> None:
    clock = Clock()
    recipe = recipes.loads(RECIPE).with_values({"limits.max_hours": 10})
    budget = Budget(recipe, History(began=NOON, worked_s=8 * 3600), clock=clock)
    assert budget.over() is budget.near() is None
    clock.now = 1.5 * 3600
    assert budget.over() is None
    assert budget.near() is not None
    assert budget.near() is None
    clock.now = 2 * 3600
    assert budget.over() is not None
    assert budget.over() is None
    budget.change({"limits.max_hours": 11.0, "train.learning_rate": 1e-4})
    assert budget.over() is None
    clock.now = 3 * 3600
    found = budget.over()
    assert found is not None
    assert found.limit.what == "the limit of 11 h"


def test_the_history_counts_work_and_not_the_time_between(run: RunFolder) -> None:
    lines: list[tuple[float, str, dict[str, Any]]] = [
        (100.0, "start", {"job": "train", "resumed_from": None}),
        *[(100.0 + step, "step", {"step": step, "loss": 3.0 - step / 10}) for step in range(1, 11)],
        (111.0, "eval", {"job": "train", "step": 10, "eval_loss": 2.5}),
        # killed; resumed an hour later from step 8, then stopped and evaluated
        (3700.0, "start", {"job": "train", "resumed_from": 8}),
        (3701.0, "step", {"step": 9, "loss": 2.2}),
        (3710.0, "end", {"job": "train", "state": "stopped"}),
        (9000.0, "phase", {"job": "evaluate"}),
        (9100.0, "gauges", {}),
        (9900.0, "start", {"job": "train", "resumed_from": 9}),
        (9905.0, "phase", {"job": "train"}),
    ]
    run.events.write_text(
        "".join(
            json.dumps({"t": t, "kind": kind, **rest}, separators=(",", ":")) + "\n"
            for t, kind, rest in lines
        )
    )
    found = read(run)
    assert found.began == 100.0
    assert found.worked_s == pytest.approx(11 + 10 + 5)
    assert list(found.steps) == list(range(1, 10))
    assert found.losses[8] == 2.2
    assert found.evaluations == []


def test_a_run_without_events_has_no_history(run: RunFolder) -> None:
    found = read(run)
    assert (found.began, found.worked_s, len(found.steps)) == (None, 0.0, 0)


def test_what_was_told_before_a_resume_is_not_told_again() -> None:
    history = History()
    for step in range(1, 121):
        history.steps.append(step)
        history.losses.append(2.77)
    fresh = Signs(400, learning_rate=1e-4)
    history.teach(fresh, 70)
    told = [sign.step for step in range(71, 131) for sign in fresh.see_step(Step(step, 2.77))]
    assert told == [80]
    later = Signs(400, learning_rate=1e-4)
    history.teach(later, 120)
    assert not [sign for step in range(121, 200) for sign in later.see_step(Step(step, 2.77))]


def test_an_idle_gpu_is_told_once_in_a_spell() -> None:
    gpu = IdleGpu()

    def look(now: float, share: float | None, *, training: bool = True) -> bool:
        return gpu.see(now, [share], training=training, step=7) is not None

    assert not look(0, 0.01)
    assert not look(299, 0.02)
    assert look(300, 0.0)
    assert not look(900, 0.0)
    assert not look(905, 0.9)
    assert not look(910, 0.0)
    assert look(1210, 0.0)
    assert not look(1300, 0.0, training=False)
    assert not look(1601, 0.0)
    assert not look(2000, None)


def test_one_busy_gpu_of_two_is_work() -> None:
    gpu = IdleGpu()
    for now in range(0, 1000, 5):
        assert gpu.see(now, [0.0, 0.5], training=True, step=1) is None


def test_a_box_that_waits_costs_money() -> None:
    assert still_billing("finished", NOON, NOON + 599, 2.0) is None
    assert still_billing("finished", NOON, NOON + 2400, 0.0) is None
    assert still_billing("training", NOON, NOON + 2400, 2.0) is None
    found = still_billing("finished", NOON, NOON + 2400, 2.0)
    assert found is not None
    assert found.what == "Training is done since 40 min; the box still costs $2 an hour, $1.33 since then."


def test_a_reporter_counts_as_work(run: RunFolder) -> None:
    with Reporter(run, "train") as reporter:
        reporter.event("start", resumed_from=None)
        reporter.end("stopped", "on request")
    found = read(run)
    assert found.began is not None
    assert found.worked_s < 60
