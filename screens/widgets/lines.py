"""Rows of text that repaint only where they changed, so that a quiet screen sends nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.content import Content
from textual.geometry import Region, Size
from textual.selection import Selection
from textual.strip import Strip
from textual.style import Style
from textual.visual import Visual
from textual.widget import Widget
from textual.widgets import Static

from ..ink import prose


class Prose(Static):
    """Text that wraps. Strings are shown as they are, never as markup."""

    DEFAULT_CSS = "Prose { height: auto; }"

    def __init__(
        self,
        text: Content | str = "",
        *,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(_content(text), id=id, classes=classes)
        self._shown = _content(text)

    def show(self, text: Content | str) -> None:
        """Replace the text; does nothing when it is the same."""
        content = _content(text)
        if not content.is_same(self._shown):
            self._shown = content
            self.update(content)


class Lines(Widget):
    """Rows that do not wrap: one Content each, cut at the edge with an ellipsis."""

    DEFAULT_CSS = "Lines { height: auto; width: 1fr; }"

    def __init__(
        self,
        rows: Sequence[Content] | Callable[[int], Sequence[Content]] = (),
        *,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._source = rows
        self._rows: list[Content] = []
        self._made_for = -1

    def show(self, rows: Sequence[Content] | Callable[[int], Sequence[Content]]) -> None:
        """Replace the rows, or the function from a width to rows. Repaints the rows that differ."""
        self._source = rows
        if self._made_for < 0:
            return
        before, self._rows = self._rows, self._make(self._made_for)
        if len(before) != len(self._rows):
            self.refresh(layout=True)
            return
        for y, (old, new) in enumerate(zip(before, self._rows, strict=True)):
            if not old.is_same(new):
                self.refresh(Region(0, y, self.size.width, 1))

    @property
    def plain(self) -> str:
        """The rows as text."""
        rows = self._rows if self._made_for >= 0 else self._make(80)
        return "\n".join(row.plain for row in rows)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many rows as there are."""
        self._ensure(width)
        return len(self._rows)

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """The longest row."""
        self._ensure(container.width)
        return max((row.cell_length for row in self._rows), default=0)

    def render_line(self, y: int) -> Strip:
        """One row, cut or padded to the width."""
        width = self.size.width
        self._ensure(width)
        style = self.visual_style
        if y >= len(self._rows):
            return Strip.blank(width, style.rich_style)
        content = self._rows[y].truncate(width, ellipsis=True)
        selection = self.text_selection
        if selection is not None and (marked := selection.get_span(y)) is not None:
            start, end = marked
            mark = Style.from_styles(self.screen.get_component_styles("screen--selection"))
            content = content.stylize(mark, start, len(content) if end == -1 else end)
        strip = Visual.to_strips(self, content, width, 1, style, apply_selection=False)[0]
        return strip.adjust_cell_length(width, style.rich_style).apply_offsets(0, y)

    def get_selection(self, selection: Selection) -> tuple[str, str]:
        """The text that was marked with the mouse."""
        return selection.extract(self.plain), "\n"

    def _ensure(self, width: int) -> None:
        if width != self._made_for:
            self._made_for, self._rows = width, self._make(width)

    def _make(self, width: int) -> list[Content]:
        return list(self._source(width) if callable(self._source) else self._source)


def _content(text: Content | str) -> Content:
    return text if isinstance(text, Content) else prose(text)
