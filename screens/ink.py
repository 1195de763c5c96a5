"""Building blocks of text: every string passes the sanitiser here and is never parsed as markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from textual.content import Content

from tui_ft.text import sanitize

MUTED = "$muted"
ACCENT = "$accent"
STRONG = "bold"
KEY = "bold $accent"
GOOD = "$good"
WARN = "bold $warn"
BAD = "bold $bad"

_MARKS = {"info": ("·", MUTED), "warning": ("!", WARN), "error": ("✗", BAD), "good": ("✓", GOOD)}


def ink(text: object, style: str = "") -> Content:
    """One line of text, made harmless, in a style."""
    plain = sanitize(str(text))
    return Content.styled(plain, style) if style else Content(plain)


def prose(text: object, style: str = "") -> Content:
    """Text that keeps its line breaks, made harmless."""
    plain = sanitize(str(text), multiline=True)
    return Content.styled(plain, style) if style else Content(plain)


def join(*parts: Content | str) -> Content:
    """Parts beside each other; plain strings are made harmless."""
    return Content("").join(part if isinstance(part, Content) else ink(part) for part in parts)


def stack(lines: Iterable[Content | str]) -> Content:
    """Lines below each other."""
    return Content("\n").join([line if isinstance(line, Content) else ink(line) for line in lines])


def short_path(path: str) -> str:
    """A path as one would type it here: relative inside the current folder, `~` for the home folder."""
    for start, sign in ((Path.cwd(), ""), (Path.home(), "~/")):
        if path.startswith(f"{start}/") and str(start) != "/":
            return f"{sign}{path[len(str(start)) + 1 :]}"
    return path


def mark(kind: str) -> Content:
    """The sign of a severity, or of something good. The word beside it says the same."""
    sign, style = _MARKS[kind]
    return Content.styled(sign, style)


def fit(content: Content, width: int) -> Content:
    """The content in exactly `width` cells, cut with an ellipsis or padded."""
    return content.truncate(max(0, width), ellipsis=True, pad=True)


def spread(left: Content, right: Content, width: int) -> Content:
    """`left` and `right` at the two ends of a line; `left` gives way, then `right`."""
    right = right.truncate(width, ellipsis=True)
    room = width - right.cell_length
    gap = 2 if right.cell_length else 0
    return fit(left, room - gap) + Content(" " * min(gap, room)) + right


def columns(
    rows: Sequence[Sequence[Content | str]], *, gap: int = 3, widths: Sequence[int] = (), align: str = ""
) -> list[Content]:
    """Cells lined up in columns. `widths` are least widths; `align` has r for a right-aligned column."""
    cells = [[cell if isinstance(cell, Content) else ink(cell) for cell in row] for row in rows]
    count = max((len(row) for row in cells), default=0)
    least = [*widths, *([0] * count)]
    wide = [max([row[i].cell_length for row in cells if i < len(row)] + [least[i]]) for i in range(count)]
    lines = []
    for row in cells:
        line = Content("")
        for i, cell in enumerate(row):
            pad = wide[i] - cell.cell_length
            if align[i : i + 1] == "r":
                line += Content(" " * pad) + cell
            else:
                line += cell + Content(" " * pad if i < len(row) - 1 else "")
            if i < len(row) - 1:
                line += Content(" " * gap)
        lines.append(line)
    return lines


def hang(label: Content | str, text: Content | str, width: int, *, indent: int = 0) -> list[Content]:
    """A label and its text, wrapped so that following lines stand below the text.

    `indent` is the least width of the label. Line breaks in the text are kept.
    """
    head = label if isinstance(label, Content) else ink(label)
    head = head + Content(" " * (indent - head.cell_length))
    body = text if isinstance(text, Content) else prose(text)
    room = max(10, width - head.cell_length)
    lines = [line for part in body.split("\n") for line in (part.wrap(room) or [Content("")])]
    blank = Content(" " * head.cell_length)
    return [join(head if i == 0 else blank, line.rstrip()) for i, line in enumerate(lines or [Content("")])]


def facts(rows: Iterable[tuple[str, Content | str]], width: int, *, label: int = 11) -> list[Content]:
    """Label and value, one below the other; long values wrap beside their label."""
    return [line for name, value in rows for line in hang(ink(name, MUTED), value, width, indent=label)]


def labelled(label: str, value: Content | str, *, width: int = 10) -> Content:
    """A muted label in a fixed column and its value."""
    return join(ink(f"{label:<{width}}", MUTED), value)
