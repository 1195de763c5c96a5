"""Bars that tell their parts apart by character, not by colour alone."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from ..ink import ACCENT, BAD, MUTED, join

FREE = "·"


def stacked(parts: Sequence[tuple[float, str, str]], total: float, width: int) -> Content:
    """Parts as (amount, character, style) of a total. Beyond the total it ends in `›`.

    Every part that is there gets at least half a chance: amounts are rounded at their running sum, so
    that the filled length is right to one cell.
    """
    cells = []
    running, drawn = 0.0, 0
    for amount, char, style in parts:
        running += amount
        end = min(width, round(running / total * width)) if total > 0 else 0
        if end > drawn:
            cells.append(Content.styled(char * (end - drawn), style))
            drawn = end
    if running > total:
        body = Content("").join(cells)
        return join(body[: width - 1], Content.styled("›", BAD))
    return join(*cells, Content.styled(FREE * (width - drawn), MUTED))


def level(share: float | None, width: int, *, style: str = ACCENT) -> Content:
    """A single level; a row of `?` when it is unknown."""
    if share is None:
        return Content.styled("?" * width, MUTED)
    filled = round(min(1.0, max(0.0, share)) * width)
    return join(Content.styled("▓" * filled, style), Content.styled(FREE * (width - filled), MUTED))


_BARS = " ▁▂▃▄▅▆▇█"


def histogram(values: Sequence[int], width: int, limit: int | None = None) -> list[Content]:
    """Counts over a linear axis in one row of bars, with the ends of the axis below.

    The axis ends at the 99.5th percentile, so that one long row does not flatten the rest; the last bar
    holds what lies beyond. Any count above zero is visible. `limit` is marked with `│` below.
    """
    if not values or width < 10:
        return []
    ordered = sorted(values)
    high = max(1, ordered[min(len(ordered) - 1, int(0.995 * len(ordered)))], min(limit or 0, ordered[-1]))
    counts = [0] * width
    for value in values:
        counts[min(width - 1, value * width // (high + 1))] += 1
    tallest = max(counts)
    bars = "".join(_BARS[-(-number * 8 // tallest)] for number in counts)
    axis = [" "] * width
    axis[0] = "0"
    end = f"{high:,}"
    axis[-len(end) :] = end
    if limit is not None and limit <= high:
        at = limit * width // (high + 1)
        text = f"│{limit:,}"
        start = min(at, width - len(text))
        axis[start : start + len(text)] = text
    return [Content.styled(bars, ACCENT), Content.styled("".join(axis), MUTED)]
