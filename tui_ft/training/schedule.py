"""The learning rate of a run that was made longer on its way. Pure.

The rate never jumps: where the run was extended it goes on from what it was. A schedule that had come to
its end there would learn nothing with the rest, so it first rises again, gently, to what a run planned
this long would have had.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

_SPENT = 0.1  # of the highest rate; below it a schedule is as good as over
_RISE = 0.05  # of the steps added, over which a spent rate rises


@dataclass(frozen=True, slots=True)
class Schedule:
    """Factors on the highest learning rate, by the number of steps done.

    `ends` are the planned lengths, each with the step at which it began to hold: ((0, 100), (80, 200)).
    """

    shape: str  # of recipes: cosine, linear or constant
    warmup: int
    ends: tuple[tuple[int, int], ...]

    def factor(self, step: int) -> float:
        """The share of the highest rate after `step` steps, in 0…1."""
        return self._upto(len(self.ends) - 1)(step)

    def tail(self) -> tuple[float, int, float]:
        """The last extension: share it starts from, steps of rising (0 for none), share it falls from."""
        return self._tail(len(self.ends) - 1)

    def _upto(self, index: int) -> Callable[[int], float]:
        began, end = self.ends[index]
        if index == 0:
            return lambda step: self._planned(step, end)
        before = self._upto(index - 1)
        if began < self.warmup:
            return lambda step: self._planned(step, end)
        start, rise, top = self._tail(index)

        def factor(step: int) -> float:
            if step <= began:
                return before(step)
            if step < began + rise:
                return start + (top - start) * (step - began) / rise
            return top * self._fall(step - began - rise, end - began - rise)

        return factor

    def _tail(self, index: int) -> tuple[float, int, float]:
        began, end = self.ends[index]
        start = self._upto(index - 1)(began) if index else 1.0
        if self.shape == "constant" or start >= _SPENT or began < self.warmup:
            return start, 0, start
        rise = max(1, round(_RISE * (end - began)))
        return start, rise, max(_SPENT, self._planned(began, end))

    def _planned(self, step: int, end: int) -> float:
        """As transformers' own schedules, to the last digit."""
        if step < self.warmup:
            return step / max(1, self.warmup)
        return self._fall(step - self.warmup, end - self.warmup)

    def _fall(self, done: int, of: int) -> float:
        share = done / max(1, of)
        if self.shape == "cosine":
            return max(0.0, 0.5 * (1.0 + math.cos(math.pi * min(1.0, share))))
        return max(0.0, 1.0 - share) if self.shape == "linear" else 1.0


def words(schedule: Schedule, rate: float) -> str:
    """What the last extension does to the learning rate, in one sentence. `rate` is the highest."""
    (_, before), (began, end) = schedule.ends[-2:]
    longer = f"The run is extended from {before:,} to {end:,} steps at step {began:,}."
    start, rise, top = schedule.tail()
    if began < schedule.warmup:
        return f"{longer} The learning rate is still rising and then follows the longer schedule."
    if schedule.shape == "constant":
        return f"{longer} The learning rate stays at {rate * start:.2g}."
    if not rise:
        return f"{longer} The learning rate goes on from {rate * start:.2g} and falls to 0 at the new end."
    steps = "1 step" if rise == 1 else f"{rise:,} steps"
    return (
        f"{longer} The learning rate had fallen to {rate * start:.2g}; it rises over {steps} to "
        f"{rate * top:.2g}, then falls to 0 at the new end."
    )
