"""Curves as characters: braille, half blocks or ASCII. Pure; knows nothing of widgets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Mode = Literal["braille", "block", "ascii"]
Point = tuple[float, "float | None"]

_DOTS: dict[Mode, tuple[int, int]] = {"braille": (2, 4), "block": (1, 2), "ascii": (1, 1)}
# Bit of each dot of a braille cell, by column and row.
_BRAILLE = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_BLOCKS = {0: " ", 1: "▀", 2: "▄", 3: "█"}


@dataclass(frozen=True, slots=True)
class Series:
    """A curve. `points` are (step, value) in step order; a value of None is a gap, never a zero."""

    points: tuple[Point, ...]
    kind: Literal["line", "dots"] = "line"
    sign: str = "○"  # drawn for every point of a "dots" series


@dataclass(frozen=True, slots=True)
class Cell:
    """One character and the index of the series it belongs to; -1 is empty."""

    char: str
    series: int


@dataclass(frozen=True, slots=True)
class Axes:
    """What the plotting area spans."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float
    log: bool = False

    def across(self, x: float, dots: int) -> int:
        """Column of dots for a step."""
        span = self.x_high - self.x_low
        return 0 if span <= 0 else round((x - self.x_low) / span * (dots - 1))

    def down(self, y: float, dots: int) -> int:
        """Row of dots for a value, 0 at the top; values outside are held at the edge."""
        low, high, value = self.y_low, self.y_high, y
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(max(y, self.y_low))
        share = 0.5 if high <= low else (value - low) / (high - low)
        return round((1 - min(1.0, max(0.0, share))) * (dots - 1))

    def value_at(self, row: int, rows: int) -> float:
        """The value in the middle of a row of characters."""
        share = 1 - row / max(1, rows - 1)
        if self.log:
            low, high = math.log(self.y_low), math.log(self.y_high)
            return math.exp(low + share * (high - low))
        return self.y_low + share * (self.y_high - self.y_low)


def axes(
    series: Sequence[Series], *, x_high: float | None = None, log: bool = False, from_zero: bool = False
) -> Axes | None:
    """Axes that hold every finite point; None without one. A flat curve gets room above and below."""
    finite = [(x, y) for one in series for x, y in one.points if y is not None and math.isfinite(y)]
    if not finite:
        return None
    values = [y for _, y in finite]
    log = log and min(values) > 0
    low, high = min(values), max(values)
    low = min(low, 0.0) if from_zero else low
    if high <= low:
        room = abs(high) / 2 or 0.5
        low, high = (low / 2, high * 2) if log else (low - room, high + room)
    right = max([x for x, _ in finite] + ([x_high] if x_high else []))
    return Axes(min(0.0, finite[0][0]), max(right, 1.0), low, high, log)


def rasterize(
    series: Sequence[Series], width: int, height: int, span: Axes, mode: Mode = "braille"
) -> list[list[Cell]]:
    """`height` rows of `width` cells. Later series lie over earlier ones; dots lie over lines."""
    per_x, per_y = _DOTS[mode]
    dots_x, dots_y = width * per_x, height * per_y
    masks = [[0] * width for _ in range(height)]
    owner = [[-1] * width for _ in range(height)]
    signs: dict[tuple[int, int], tuple[str, int]] = {}
    for index, one in enumerate(series):
        if one.kind == "dots":
            for x, y in one.points:
                if y is not None and math.isfinite(y):
                    place = (span.down(y, height), span.across(x, width))
                    signs[place] = (one.sign, index)
            continue
        for dot_x, dot_y in _line(bucket(one.points, span, dots_x), span, dots_y):
            cell_x, cell_y = dot_x // per_x, dot_y // per_y
            masks[cell_y][cell_x] |= _bit(mode, dot_x % per_x, dot_y % per_y)
            owner[cell_y][cell_x] = index
    rows = []
    for y in range(height):
        row = [Cell(_char(mode, masks[y][x]), owner[y][x] if masks[y][x] else -1) for x in range(width)]
        rows.append(row)
    for (y, x), (sign, index) in signs.items():
        rows[y][x] = Cell(sign, index)
    return rows


def bucket(points: Iterable[Point], span: Axes, buckets: int) -> list[tuple[int, float | None]]:
    """At most one value per bucket: the mean, or None where a value was missing."""
    found: dict[int, list[float]] = {}
    broken: set[int] = set()
    for x, y in points:
        at = min(buckets - 1, max(0, span.across(x, buckets)))
        if y is None or not math.isfinite(y):
            broken.add(at)
        else:
            found.setdefault(at, []).append(y)
    return [
        (at, None if at in broken else sum(found[at]) / len(found[at])) for at in sorted(broken | set(found))
    ]


def smooth(points: Sequence[Point], weight: float) -> tuple[Point, ...]:
    """Exponential moving average, corrected for its start; gaps stay gaps and do not poison it."""
    average, seen = 0.0, 0
    out: list[Point] = []
    for x, y in points:
        if y is None or not math.isfinite(y):
            out.append((x, None))
            continue
        seen += 1
        average = weight * average + (1 - weight) * y
        out.append((x, average / (1 - weight**seen)))
    return tuple(out)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round values inside [low, high], at most `most` of them."""
    if most < 1 or high <= low:
        return []
    step = _nice((high - low) / most)
    first = math.ceil(low / step) * step
    values: list[float] = []
    while first <= high + step * 1e-9 and len(values) < 50:
        values.append(round(first, 12))
        first += step
    return values[:most] if len(values) <= most else values[:: math.ceil(len(values) / most)]


def number(value: float, step: float | None = None) -> str:
    """A tick's label, short: `0.9`, `12`, `3e-4`. `step` is the distance it must show."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 10_000 or size < 0.001:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    if step is not None:
        digits = next((d for d in range(5) if math.isclose(round(step, d), step, rel_tol=1e-6)), 5)
        return f"{value:.{digits}f}"
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 0.1 else f"{value:.3f}"


def _line(points: Sequence[tuple[int, float | None]], span: Axes, dots_y: int) -> Iterable[tuple[int, int]]:
    before: tuple[int, int] | None = None
    for x, value in points:
        if value is None:
            before = None
            continue
        y = span.down(value, dots_y)
        if before is None:
            yield x, y
        else:
            yield from _segment(before, (x, y))
        before = (x, y)


def _segment(start: tuple[int, int], end: tuple[int, int]) -> Iterable[tuple[int, int]]:
    (x0, y0), (x1, y1) = start, end
    count = max(abs(x1 - x0), abs(y1 - y0), 1)
    for i in range(count + 1):
        yield round(x0 + (x1 - x0) * i / count), round(y0 + (y1 - y0) * i / count)


def _bit(mode: Mode, x: int, y: int) -> int:
    return _BRAILLE[x][y] if mode == "braille" else 1 << y


def _char(mode: Mode, mask: int) -> str:
    if mode == "braille":
        return chr(0x2800 + mask) if mask else " "
    return _BLOCKS[mask] if mode == "block" else ("*" if mask else " ")


def _nice(raw: float) -> float:
    """The next of 1, 2, 2.5, 5 × 10^n that is at least `raw`."""
    power = 10.0 ** math.floor(math.log10(raw))
    return next((m * power for m in (1, 2, 2.5, 5) if m * power >= raw * (1 - 1e-9)), 10 * power)
