"""The frame around every page: header, rail of steps, footer. Each is drawn by a function of its width."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from ..draft import Step
from ..ink import ACCENT, KEY, MUTED, STRONG, fit, ink, join, spread
from ..keys import Key

_SIGNS = {"done": ("✓", ACCENT), "here": ("●", ACCENT), "look": ("!", "bold $warn"), "ahead": (" ", MUTED)}
_WORDS = {"done": "done", "here": "here", "look": "needs a look", "ahead": ""}


def header(name: str, place: str, box: Content, width: int) -> Content:
    """`tui-ft · support-json` on the left, the machine on the right."""
    left = ink("tui-ft", STRONG)
    for part in (name, place):
        if part:
            left = join(left, ink(" · ", MUTED), ink(part))
    return spread(join(" ", left), join(box, " "), width)


def rail_row(steps: Sequence[Step], width: int) -> Content:
    """The steps in one line. What does not fit is cut at the end; near the end, at the start."""
    here = next((i for i, step in enumerate(steps) if step.state == "here"), 0)
    first, last = 0, len(steps)
    while (row := _rail(steps, first, last)).cell_length > width and last - first > 1:
        if last - 1 > here + 1:
            last -= 1
        else:
            first += 1
    return row


def _rail(steps: Sequence[Step], first: int, last: int) -> Content:
    parts = [_cell(step) for step in steps[first:last]]
    if first:
        parts.insert(0, ink("…", MUTED))
    if last < len(steps):
        parts.append(ink(f"{last + 1} …", MUTED))
    return join(" ", Content("  ").join(parts))


def rail_column(steps: Sequence[Step], width: int) -> list[Content]:
    """The steps below each other, each with its state in a word or what was decided there."""
    lines: list[Content] = [Content("")]
    for step in steps:
        sign, style = _SIGNS[step.state]
        name_style = {"here": STRONG, "done": "", "look": STRONG, "ahead": MUTED}[step.state]
        state = ink(_WORDS[step.state], MUTED) if step.state != "look" else ink(_WORDS["look"], "$warn")
        first = spread(join(ink(f"  {step.number} ", MUTED), ink(step.name, name_style)), state, width - 4)
        lines.append(join(first, " ", Content.styled(sign, style)))
        if step.summary:
            lines.append(fit(join("    ", ink(step.summary, MUTED)), width - 2))
        lines.append(Content(""))
    return lines


def footer(keys: Sequence[Key], width: int, names: dict[str, str]) -> Content:
    """The keys of this place, the main one first; the last ones give way, but never `?`.

    `names` says how re-mapped keys are written, by key id.
    """
    *places, card = keys
    ordered = sorted(places, key=lambda key: not key.main)
    cells = [_key(key, names) for key in ordered]
    last = _key(card, names)
    while cells and 1 + sum(cell.cell_length + 3 for cell in cells) + last.cell_length > width:
        cells.pop()
    return join(" ", Content("   ").join([*cells, last]))


def _cell(step: Step) -> Content:
    sign, style = _SIGNS[step.state]
    name_style = STRONG if step.state in ("here", "look") else "" if step.state == "done" else MUTED
    label = join(ink(f"{step.number} ", MUTED), ink(step.name, name_style))
    return label if step.state == "ahead" else join(label, " ", Content.styled(sign, style))


def _key(key: Key, names: dict[str, str]) -> Content:
    shown = names.get(key.id, key.shown)
    return join(ink(shown, KEY), " ", ink(key.label, STRONG if key.main else MUTED))
