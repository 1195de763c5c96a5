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
