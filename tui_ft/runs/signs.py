"""What the numbers of a training say is going wrong, as it happens. Pure: numbers in, alerts out.

Each sign is told once, with a plain sentence and one thing to do, and may be told again only after the
numbers have been well for a while. Thresholds are on the careful side: a false alarm teaches people to
look away. They were tried on noisy curves and on real runs, see tests/runs/test_signs.py.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Literal

from tui_ft.text import percent

_WINDOW = 20  # steps that make up "now" and "at the start"
_SPIKE_SPREADS = 8.0  # how far out a loss must lie, in spreads of its neighbours
_SPIKE_RATIO = 1.5
_DIVERGED = 1.5  # times the loss at the start
_STILL = 0.01  # a loss that fell by less than this share has not moved
_FLAT = 0.005
_OVERFIT = 0.02  # how much the validation loss must have risen above its best
_WAITING = 0.3  # share of the time that the device waits for rows
_SLOW = 0.5  # share of the usual speed
_USUAL_SPEED = 50  # steps that tell the usual speed


@dataclass(frozen=True, slots=True)
class Sign:
    """Something that goes wrong. `id` is stable; `action` is the one thing to do about it."""

    id: str
    severity: Literal["info", "warning", "error"]
    what: str
    action: str
    step: int


@dataclass(frozen=True, slots=True)
class Step:
    """The numbers of one update. None is unknown; `waited_s` is the time the device waited for its rows."""

    step: int
    loss: float
    lr: float | None = None
    tokens_per_s: float | None = None
    seconds: float | None = None
    waited_s: float | None = None


class Signs:
    """Takes in the numbers of one training, from its first step to its last of `steps`."""

    def __init__(self, steps: int, *, learning_rate: float, warmup_steps: int = 0) -> None:
        self._steps = max(1, steps)
        self.learning_rate = learning_rate
        self._warmup = warmup_steps
        self._first: list[float] = []
        self._losses: deque[float] = deque(maxlen=2 * _WINDOW)
        self._history: list[tuple[int, float]] = []  # median losses of one window after another
        self._speeds: deque[float] = deque(maxlen=_WINDOW)
        self._usual: deque[float] = deque(maxlen=_USUAL_SPEED)
        self._waits: deque[tuple[float, float]] = deque(maxlen=_WINDOW)
        self._evaluations: list[tuple[int, float, float | None]] = []  # step, validation, train loss then
        self._lowest = math.inf  # of the medians in the history
        self._zeros = 0
        self._told: dict[str, int] = {}

    def see_step(self, step: Step) -> tuple[Sign, ...]:
        """The signs that show with this step."""
        found = [
            *self._nothing_learned(step),
            *self._spike(step),
            *self._divergence(step),
            *self._still(step),
            *self._waiting(step),
            *self._slower(step),
        ]
        self._remember(step)
        return tuple(sign for sign in found if self._is_news(sign))

    def see_evaluation(self, step: int, loss: float) -> tuple[Sign, ...]:
        """The signs that show with this validation loss."""
        if math.isfinite(loss):
            self._evaluations.append((step, loss, self._now()))
        return tuple(sign for sign in self._overfitting() if self._is_news(sign))

    def _remember(self, step: Step) -> None:
        if len(self._first) < _WINDOW:
            self._first.append(step.loss)
        self._losses.append(step.loss)
        if step.step % _WINDOW == 0 and len(self._losses) >= _WINDOW:
            usual = median(list(self._losses)[-_WINDOW:])
            self._history.append((step.step, usual))
            self._lowest = min(self._lowest, usual)

    def _is_news(self, sign: Sign) -> bool:
        """Not told yet, or not for a tenth of the run."""
        told = self._told.get(sign.id)
        self._told[sign.id] = sign.step
        return told is None or sign.step - told > max(5 * _WINDOW, self._steps // 10)

    def _now(self) -> float | None:
        recent = list(self._losses)[-_WINDOW:]
        return median(recent) if recent else None

    # What goes wrong

    def _nothing_learned(self, step: Step) -> Iterator[Sign]:
        self._zeros = self._zeros + 1 if step.loss == 0 else 0
        if self._zeros == 2:
            yield Sign(
                "zero-loss",
                "error",
                "The loss is exactly 0: there is nothing to learn in these rows.",
                "Stop, and look at a row in the preview: is its answer marked?",
                step.step,
            )

    def _spike(self, step: Step) -> Iterator[Sign]:
        before = list(self._losses)
        if len(before) < _WINDOW:
            return
        usual = median(before)
        spread = 1.4826 * median(abs(loss - usual) for loss in before)
        if step.loss > max(usual * _SPIKE_RATIO, usual + _SPIKE_SPREADS * spread):
            yield Sign(
                "spike",
                "info",
                f"The loss jumped from {usual:.3g} to {step.loss:.3g} at step {step.step:,}.",
                f"Carry on; if it is not back within {_WINDOW} steps, stop and halve the learning rate.",
                step.step,
            )

    def _divergence(self, step: Step) -> Iterator[Sign]:
        recent = [*self._losses, step.loss][-_WINDOW:]
        if len(recent) < _WINDOW or len(self._first) < _WINDOW:
            return
        began = median(self._first[: _WINDOW // 2])
        lowest = self._lowest if self._history else 0.0
        if median(recent) > _DIVERGED * began and min(recent) > lowest:
            yield Sign(
                "diverging",
                "error",
                f"The loss is rising: {median(recent):.3g} now, {began:.3g} at the start.",
                f"Stop and train again with learning_rate = {self.learning_rate / 2:.1e} in [train].",
                step.step,
            )

    def _still(self, step: Step) -> Iterator[Sign]:
        """A loss that never fell; or one that fell and has stopped falling with steps still to come."""
        if step.step % _WINDOW or len(self._first) < _WINDOW:
            return
        began, now = median(self._first), median([*self._losses, step.loss][-_WINDOW:])
        seen = step.step - self._warmup
        if began > 0 and seen >= max(4 * _WINDOW, self._steps // 5) and abs(began - now) < _STILL * began:
            yield Sign(
                "not-learning",
                "warning",
                f"The loss has not moved in {step.step:,} steps: {began:.3g} at the start, {now:.3g} now.",
                f"Stop and train again with learning_rate = {self.learning_rate * 5:.1e} in [train].",
                step.step,
            )
            return
        yield from self._plateau(step, began, now)

    def _plateau(self, step: Step, began: float, now: float) -> Iterator[Sign]:
        long_ago = step.step - max(5 * _WINDOW, self._steps // 3)
        then = next((loss for at, loss in reversed(self._history) if at <= long_ago), None)
        to_come = 1 - step.step / self._steps
        if then is None or to_come < 0.2 or not began - now > 0.1 * began:
            return
        between = [loss for at, loss in self._history if at > long_ago]
        if min([*between, now]) > then * (1 - _FLAT):
            yield Sign(
                "plateau",
                "info",
                f"The loss stays at {now:.3g} since step {long_ago:,}, "
                f"with {percent(to_come)} of the run to come.",
                "If the validation loss stands still as well, stop and keep the best.",
                step.step,
            )

    def _overfitting(self) -> Iterator[Sign]:
        if len(self._evaluations) < 3:
            return
        best_step, best, train_then = min(self._evaluations, key=lambda seen: seen[1])
        later = [seen for seen in self._evaluations if seen[0] > best_step]
        step, loss, train_now = self._evaluations[-1]
        falling = train_now is None or train_then is None or train_now < train_then
        if len(later) >= 2 and all(seen[1] > best * (1 + _OVERFIT) for seen in later[-2:]) and falling:
            yield Sign(
                "overfitting",
                "warning",
                f"The validation loss rises since step {best_step:,} ({best:.3g}, now {loss:.3g}) while the "
                "training loss falls: the rows are being learned by heart.",
                f"Stop now and keep step {best_step:,}, the best.",
                step,
            )

    def _waiting(self, step: Step) -> Iterator[Sign]:
        if step.seconds is None or step.waited_s is None:
            return
        self._waits.append((step.waited_s, step.seconds))
        waited, worked = (sum(column) for column in zip(*self._waits, strict=True))
        if len(self._waits) == _WINDOW and waited > _WAITING * (waited + worked):
            yield Sign(
                "waiting-for-data",
                "warning",
                f"{percent(waited / (waited + worked))} of the time is spent waiting for rows.",
                "Look whether the disk or the processor is busy with something else.",
                step.step,
            )

    def _slower(self, step: Step) -> Iterator[Sign]:
        if not step.tokens_per_s:
            return
        if len(self._speeds) == _WINDOW:
            self._usual.append(self._speeds[0])
        self._speeds.append(step.tokens_per_s)
        if len(self._usual) < _USUAL_SPEED:
            return
        usual, now = median(self._usual), median(self._speeds)
        if now < _SLOW * usual:
            yield Sign(
                "slow",
                "warning",
                f"Training has become slower: {now:,.0f} tokens/s, usually {usual:,.0f}.",
                "Look for other programs on this machine, and at the temperature and power of the GPU.",
                step.step,
            )
