"""Signs of trouble: each shows on the curve it is for, and on no healthy one."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable

import pytest

from tui_ft.runs.signs import Sign, Signs, Step

STEPS = 400


def curve(loss: Callable[[int], float], *, noise: float = 0.0, seed: int = 0) -> list[Step]:
    chance = random.Random(seed)
    return [Step(n, max(1e-6, loss(n) * (1 + chance.gauss(0, noise)))) for n in range(1, STEPS + 1)]


def healthy(step: int) -> float:
    return 0.6 + 1.8 * math.exp(-step / 80)


def signs() -> Signs:
    return Signs(STEPS, learning_rate=2e-4, warmup_steps=10)


def told(steps: Iterable[Step], watch: Signs | None = None) -> list[Sign]:
    watch = watch or signs()
    return [sign for step in steps for sign in watch.see_step(step)]


def ids(found: Iterable[Sign]) -> list[str]:
    return [sign.id for sign in found]


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.15, 0.3])
def test_a_falling_noisy_loss_is_healthy(noise: float) -> None:
    for seed in range(50):
        assert told(curve(healthy, noise=noise, seed=seed)) == []


def test_a_loss_that_settles_near_zero_is_healthy() -> None:
    for seed in range(50):
        found = told(curve(lambda step: 0.03 + 2.5 * math.exp(-step / 20), noise=0.25, seed=seed))
        assert set(ids(found)) <= {"plateau"}  # it does stand still, with most of the run to come


def test_a_jump_is_told_once_with_both_values() -> None:
    steps = curve(healthy, noise=0.05)
    steps[199] = Step(200, 6.0)
    steps[201] = Step(202, 6.0)
    (sign,) = told(steps)
    assert (sign.id, sign.severity, sign.step) == ("spike", "info", 200)
    assert "to 6 at step 200" in sign.what


def test_a_loss_that_grows_diverges_and_the_half_rate_is_proposed() -> None:
    steps = curve(lambda step: 2.4 if step < 60 else 2.4 * 1.02 ** (step - 60), noise=0.03)
    found = [sign for sign in told(steps) if sign.id == "diverging"]
    assert len(found) == 1
    assert found[0].severity == "error"
    assert found[0].step < 110
    assert "learning_rate = 1.0e-04" in found[0].action


def test_a_loss_that_never_moves_is_not_learning() -> None:
    found = told(curve(lambda step: 2.77, noise=0.002))
    assert ids(found) == ["not-learning"]
    assert found[0].step == 100  # a fifth of the run after the warm-up


def test_a_loss_that_stops_falling_early_is_a_plateau() -> None:
    found = told(curve(lambda step: max(1.0, 2.4 - step / 50), noise=0.001))
    assert ids(found) == ["plateau"]
    assert "of the run to come" in found[0].what


def test_a_loss_of_exactly_zero_twice_is_an_error() -> None:
    found = told([*curve(healthy)[:30], Step(31, 0.0), Step(32, 0.0), Step(33, 0.0)])
    assert ids(found) == ["zero-loss"]
    assert found[0].step == 32


def test_rising_validation_under_a_falling_loss_is_overfitting() -> None:
    watch = signs()
    evaluations = {50: 0.99, 100: 0.95, 150: 0.98, 200: 1.03, 250: 1.1}
    found: list[Sign] = []
    for step in curve(healthy):
        found += watch.see_step(step)
        if step.step in evaluations:
            found += watch.see_evaluation(step.step, evaluations[step.step])
    assert ids(found) == ["overfitting"]
    assert found[0].step == 200  # the second one that is worse
    assert "step 100" in found[0].action


def test_validation_that_wavers_is_no_overfitting() -> None:
    watch = signs()
    found: list[Sign] = []
    for number, loss in enumerate([1.0, 0.9, 0.91, 0.9, 0.905, 0.89, math.nan, 0.9]):
        found += watch.see_evaluation(10 * number, loss)
    assert found == []


def test_waiting_for_rows_is_told() -> None:
    fast = [Step(n, healthy(n), seconds=1.0, waited_s=0.01) for n in range(1, 41)]
    slow = [Step(n, healthy(n), seconds=1.0, waited_s=1.0) for n in range(41, 81)]
    (sign,) = told([*fast, *slow])
    assert sign.id == "waiting-for-data"
    assert 41 < sign.step <= 60


def test_a_collapse_of_speed_is_told_and_slow_steps_now_and_then_are_not() -> None:
    def speed(n: int) -> float:
        return 500.0 if n % 10 == 0 else 2000.0

    steady = [Step(n, healthy(n), tokens_per_s=speed(n)) for n in range(1, 151)]
    watch = signs()
    assert told(steady, watch) == []
    collapsed = [Step(n, healthy(n), tokens_per_s=700.0) for n in range(151, 200)]
    (sign,) = told(collapsed, watch)
    assert sign.id == "slow"
    assert "700 tokens/s, usually 2,000" in sign.what


def test_a_sign_may_come_again_after_the_numbers_were_well_for_long() -> None:
    steps = curve(healthy, noise=0.02)
    for at in (60, 61, 300):
        steps[at - 1] = Step(at, 9.0)
    assert [(sign.id, sign.step) for sign in told(steps)] == [("spike", 60), ("spike", 300)]
