"""The loss chart: axes, curves, the best point; repaints only the rows that differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content
from textual.geometry import Size

from ..ink import ACCENT, MUTED, ink, join
from .lines import Lines
from .raster import Axes, Cell, Mode, Series, axes, number, rasterize, ticks


@dataclass(frozen=True, slots=True)
class Trace:
    """A series and how it is drawn."""

    series: Series
    style: str


class LossChart(Lines):
    """Curves over steps. As high as it is made; draws itself anew when it is resized."""

    DEFAULT_CSS = "LossChart { height: 1fr; min-height: 5; width: 1fr; }"

    def __init__(
        self,
        *,
        mode: Mode = "braille",
        empty: str = "",
        title: str = "",
        from_zero: bool = False,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self._title = title
        self._from_zero = from_zero
        self._mode: Mode = mode
        self._empty = empty
        self._traces: Sequence[Trace] = ()
        self._x_high: float | None = None
        self._log = False
        self._cursor: float | None = None
        self._height = 0

    def plot(
        self,
        traces: Sequence[Trace],
        *,
        x_high: float | None = None,
        log: bool = False,
        cursor: float | None = None,
    ) -> None:
        """Draw these. `x_high` is the last step to come, so that the curve shows how far it is.

        `cursor` is a step that gets an upright line.
        """
        self._traces, self._x_high, self._log, self._cursor = traces, x_high, log, cursor
        self.show(self._chart)

    def on_mount(self) -> None:
        """An empty chart says so."""
        self.show(self._chart)

    def on_resize(self) -> None:
        """The rows depend on the height as well."""
        if self.size.height != self._height:
            self._height = self.size.height
            self._made_for = -1
            self.refresh()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As much as there is."""
        return container.height

    def _chart(self, width: int) -> list[Content]:
        title = [ink(f" {self._title}", MUTED)] if self._title else []
        return title + chart(
            self._traces,
            width,
            self.size.height - len(title),
            mode=self._mode,
            x_high=self._x_high,
            log=self._log,
            cursor=self._cursor,
            from_zero=self._from_zero,
            empty=self._empty,
        )


def chart(
    traces: Sequence[Trace],
    width: int,
    height: int,
    *,
    mode: Mode = "braille",
    x_high: float | None = None,
    log: bool = False,
    cursor: float | None = None,
    from_zero: bool = False,
    empty: str = "",
) -> list[Content]:
    """The rows of a chart: y labels at the left, steps below, an upright line at the step of the cursor."""
    series = [trace.series for trace in traces]
    span = axes(series, x_high=x_high, log=log, from_zero=from_zero)
    if span is None or height < 3 or width < 20:
        return [ink(empty, MUTED)] + [Content("")] * (height - 1)
    rows = height - 2
    labels = _y_labels(span, rows)
    margin = max(len(label) for label in labels.values()) + 1
    inside = width - margin - 1
    cells = rasterize(series, inside, rows, span, mode)
    styles = [*(trace.style for trace in traces), ACCENT]
    if cursor is not None:
        at = min(inside - 1, max(0, span.across(cursor, inside)))
        sign = "|" if mode == "ascii" else "┆"
        for row in cells:
            row[at] = row[at] if row[at].series >= 0 else Cell(sign, len(traces))
    lines = []
    for y, row in enumerate(cells):
        axis = f"{labels.get(y, ''):>{margin - 1}} {'┤' if y in labels else '│'}"
        lines.append(join(ink(axis, MUTED), _row(row, styles)))
    return [*lines, *_x_axis(span, margin, inside)]


def _row(cells: Sequence[Cell], styles: Sequence[str]) -> Content:
    """Runs of cells of the same series become one span, which keeps the bytes low."""
    parts: list[Content] = []
    start = 0
    for i in range(1, len(cells) + 1):
        if i == len(cells) or cells[i].series != cells[start].series:
            text = "".join(cell.char for cell in cells[start:i])
            owner = cells[start].series
            parts.append(Content(text) if owner < 0 else Content.styled(text, styles[owner]))
            start = i
    return Content("").join(parts)


def _y_labels(span: Axes, rows: int) -> dict[int, str]:
    """Row -> label. Every row's label is the value in its middle, rounded to what can be told apart."""
    count = max(2, min(5, (rows + 1) // 2))
    if span.log:
        at = {round(i * (rows - 1) / (count - 1)) for i in range(count)}
        return {row: number(span.value_at(row, rows)) for row in sorted(at)}
    values = ticks(span.y_low, span.y_high, count)
    if len(values) < 2:
        return {0: number(span.y_high), rows - 1: number(span.y_low)}
    return {span.down(value, rows): number(value, values[1] - values[0]) for value in values}


def _x_axis(span: Axes, margin: int, inside: int) -> list[Content]:
    line = ["─"] * inside
    labels = [" "] * (inside + margin + 1)
    last = -1
    for value in ticks(span.x_low, span.x_high, max(2, inside // 10)):
        at = span.across(value, inside)
        text = f"{value:,.0f}"
        start = min(max(at + margin + 1 - len(text) // 2, 0), len(labels) - len(text))
        if value <= span.x_low or value != int(value) or start <= last:
            continue
        line[at] = "┬"
        labels[start : start + len(text)] = text
        last = start + len(text)
    return [ink(" " * margin + "└" + "".join(line), MUTED), ink("".join(labels), MUTED)]
