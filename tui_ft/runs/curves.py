"""Curves that stay small however long a run is."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

MOST_POINTS = 4096


@dataclass(frozen=True, slots=True)
class Curve:
    """A series over steps. A value is None where the number was NaN, infinite or not measured."""

    steps: tuple[int, ...] = ()
    values: tuple[float | None, ...] = ()

    @property
    def last(self) -> float | None:
        """The newest value."""
        return self.values[-1] if self.values else None

    def at(self, step: int) -> tuple[int, float | None] | None:
        """The point nearest to a step, as (step, value); None for an empty curve."""
        after = bisect_left(self.steps, step)
        near = [i for i in (after - 1, after) if 0 <= i < len(self.steps)]
        if not near:
            return None
        best = min(near, key=lambda i: abs(self.steps[i] - step))
        return self.steps[best], self.values[best]


class CurveBuilder:
    """Collects points in step order and halves its resolution whenever it holds too many.

    Bucketed points keep the mean of their values and the step of the last one. A bucket with any
    missing value is missing as a whole, so that a NaN cannot be averaged away.
    """

    def __init__(self, most: int = MOST_POINTS) -> None:
        self._most = max(2, most - most % 2)  # even, so that halving loses no bucket
        self._width = 1
        self._steps: list[int] = []
        self._values: list[float | None] = []
        self._open: list[float | None] = []
        self._open_step = 0
        self.last: float | None = None

    def add(self, step: int, value: float | None) -> None:
        """Append a point. `step` must not be smaller than the last one."""
        self.last = value
        self._open.append(value)
        self._open_step = step
        if len(self._open) < self._width:
            return
        self._steps.append(step)
        self._values.append(_mean(self._open))
        self._open = []
        if len(self._steps) >= self._most:
            self._halve()

    def cut(self, step: int) -> None:
        """Forget points after `step`: the run went back there and repeats them."""
        keep = bisect_right(self._steps, step)
        del self._steps[keep:], self._values[keep:]
        if self._open_step > step:
            self._open = []
        self.last = self._values[-1] if self._values else None

    def curve(self) -> Curve:
        """The points as they are now, the unfinished bucket included."""
        if not self._open:
            return Curve(tuple(self._steps), tuple(self._values))
        return Curve((*self._steps, self._open_step), (*self._values, _mean(self._open)))

    def _halve(self) -> None:
        pairs = len(self._steps) // 2 * 2
        self._values = [_mean(self._values[i : i + 2]) for i in range(0, pairs, 2)]
        self._steps = self._steps[1:pairs:2]
        self._width *= 2


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None
