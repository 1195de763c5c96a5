"""The chart's rasteriser: honest gaps, bounded work, readable axes."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from tui_ft.screens.widgets.chart import Trace, chart
from tui_ft.screens.widgets.raster import (
    Axes,
    Mode,
    Series,
    axes,
    bucket,
    number,
    rasterize,
    smooth,
    ticks,
)

VALUES = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True, width=32))
MODES: tuple[Mode, ...] = ("braille", "block", "ascii")


def line(*values: float | None) -> Series:
    return Series(tuple((float(i), value) for i, value in enumerate(values)))


def columns_with_ink(series: Series, width: int, mode: Mode = "braille") -> set[int]:
    span = axes([series])
    assert span is not None
    rows = rasterize([series], width, 8, span, mode)
    return {x for row in rows for x, cell in enumerate(row) if cell.char.strip()}


@given(values=st.lists(VALUES, max_size=300), width=st.integers(1, 90), height=st.integers(1, 20))
def test_any_numbers_give_a_full_grid(values: list[float | None], width: int, height: int) -> None:
    series = line(*values)
    span = axes([series])
    if span is None:
        assert all(value is None or not math.isfinite(value) for value in values)
        return
    for mode in MODES:
        rows = rasterize([series], width, height, span, mode)
        assert [len(row) for row in rows] == [width] * height
        assert all(len(cell.char) == 1 for row in rows for cell in row)


def test_a_missing_number_is_a_gap_and_not_a_zero() -> None:
    values = [1.0] * 20 + [math.nan] * 20 + [1.0] * 20
    inked = columns_with_ink(line(*values), 60)
    assert inked >= set(range(19)) | set(range(41, 59))
    assert not inked & set(range(22, 38))


def test_a_missing_number_does_not_move_the_axis() -> None:
    span = axes([line(1.0, math.inf, None, math.nan, 2.0)])
    assert span == Axes(0.0, 4.0, 1.0, 2.0, False)


def test_few_points_are_joined_over_the_whole_width() -> None:
    assert columns_with_ink(line(3.0, 1.0), 40) == set(range(40))


def test_a_million_points_become_two_per_column() -> None:
    points = [(float(i), float(i % 7)) for i in range(1_000_000)]
    span = axes([Series((points[0], points[-1]))])
    assert span is not None
    buckets = bucket(points, span, 2 * 80)
    assert len(buckets) == 160
    assert all(value is not None and abs(value - 3.0) < 0.01 for _, value in buckets)


def test_the_best_point_lies_over_the_curve() -> None:
    curve, best = line(3.0, 2.0, 1.0), Series(((2.0, 1.0),), "dots", "●")
    span = axes([curve, best])
    assert span is not None
    rows = rasterize([curve, best], 20, 6, span)
    assert (rows[-1][-1].char, rows[-1][-1].series) == ("●", 1)


def test_a_log_axis_puts_equal_ratios_at_equal_distances() -> None:
    span = axes([line(1.0, 10.0, 100.0)], log=True)
    assert span is not None
    assert [span.down(value, 101) for value in (100.0, 10.0, 1.0)] == [0, 50, 100]


def test_a_log_axis_is_not_used_for_numbers_it_cannot_show() -> None:
    span = axes([line(0.0, 1.0)], log=True)
    assert span is not None
    assert not span.log


def test_smoothing_starts_at_the_first_value_and_skips_gaps() -> None:
    smoothed = smooth([(1.0, 4.0), (2.0, None), (3.0, 4.0), (4.0, math.nan)], 0.9)
    assert [y if y is None else round(y, 9) for _, y in smoothed] == [4.0, None, 4.0, None]


@given(low=st.floats(-1e6, 1e6), width=st.floats(1e-3, 1e6), most=st.integers(1, 8))
def test_ticks_are_inside_and_not_too_many(low: float, width: float, most: int) -> None:
    found = ticks(low, low + width, most)
    assert len(found) <= most
    assert all(low - 1e-6 * width <= value <= low + width * (1 + 1e-6) for value in found)
    assert found == sorted(found)


def test_labels_are_as_exact_as_their_distance() -> None:
    assert [number(v, 0.25) for v in (0.5, 0.75, 1.0)] == ["0.50", "0.75", "1.00"]
    assert [number(v, 20.0) for v in (20.0, 40.0)] == ["20", "40"]
    assert number(2e-4) == "2e-4"
    assert number(0.0) == "0"


def test_a_chart_has_its_height_and_names_steps_to_come() -> None:
    rows = chart([Trace(line(2.0, 1.5, 1.0), "")], 60, 10, x_high=100.0)
    assert len(rows) == 10
    assert all(row.cell_length <= 60 for row in rows)
    assert "80" in rows[-1].plain
    assert "└" in rows[-2].plain


def test_an_empty_chart_says_so() -> None:
    rows = chart([], 60, 6, empty="nothing yet")
    assert rows[0].plain == "nothing yet"
    assert len(rows) == 6


def test_an_ascii_chart_is_ascii() -> None:
    rows = chart([Trace(line(2.0, 1.0), "")], 40, 8, mode="ascii")
    drawn = "".join(row.plain for row in rows[:-2]).replace("│", "").replace("┤", "")
    assert drawn.isascii()
    assert "*" in drawn
