"""One row as the model will see it: what it learns is underlined, what is cut off is struck through."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content

from .dialogs import Dialog
from .ink import MUTED, ink, join, prose, stack
from .widgets.lines import Prose

if TYPE_CHECKING:
    from tui_ft.data.preview import Preview as PreviewedRow

    from .draft import Draft

_ROWS = 20
_STYLES = {"read": MUTED, "learned": "underline", "cut": "strike $warn"}


class Preview(Dialog[None]):
    """Leafs through rows."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,n,space", "turn(1)", "Next row", show=False),
        Binding("left,p", "turn(-1)", "Row before", show=False),
        Binding("enter,q", "close", "Close", show=False),
    ]
    hint = (("←→", "other rows"), ("↑↓", "scroll"), ("esc", "close"))

    def __init__(self, rows: Sequence[PreviewedRow]) -> None:
        super().__init__("A row as the model will see it")
        self.add_class("-reading")
        self._rows = rows
        self._at = 0

    def content(self) -> ComposeResult:
        """Where the row is from, the legend, the text."""
        yield Prose(id="about")
        with VerticalScroll(id="reader"):
            yield Prose(id="row")

    def on_mount(self) -> None:
        """The first row."""
        self.query_one("#reader").focus()
        self._show()

    def action_turn(self, by: int) -> None:
        """Another row."""
        if self._rows:
            self._at = (self._at + by) % len(self._rows)
            self._show()

    def _show(self) -> None:
        if not self._rows:
            self.query_one("#about", Prose).show("There is no usable row.")
            return
        row = self._rows[self._at]
        self.query_one("#about", Prose).show(heading(row, self._at, len(self._rows)))
        self.query_one("#row", Prose).show(text_of(row))
        self.query_one("#reader", VerticalScroll).scroll_home(animate=False)


def heading(row: PreviewedRow, at: int, count: int) -> Content:
    """File, line, tokens, and how to read the text."""
    parts = [f"{Path(row.file).name}:{row.line}", f"row {at + 1} of {count}"]
    if row.tokens is not None and row.learned is not None:
        parts.append(f"{row.tokens:,} tokens, {row.learned:,} of them learned")
    lines = [ink(" · ".join(parts))]
    legend = [join(ink("underlined", "underline"), " is learned"), join(ink("the rest is only read", MUTED))]
    if row.cut:
        legend.append(join(ink("struck through", "strike $warn"), f": {row.cut:,} tokens are cut off"))
    lines.append(Content("   ").join(legend))
    if row.note:
        lines.append(ink(row.note, "$warn"))
    return stack(lines)


def text_of(row: PreviewedRow) -> Content:
    """The row with each piece in the style of its state; newlines at a piece's end stay unmarked."""
    return Content("").join(prose(piece.text, _STYLES[piece.state]) for piece in row.pieces)


def preview_rows(draft: Draft) -> list[PreviewedRow]:
    """The first rows, in a thread. Raises TuiFtError."""
    from tui_ft.data.masks import loss_of
    from tui_ft.data.preview import previews
    from tui_ft.models.tokenizer import ChatTokenizer
    from tui_ft.recipe import Data

    folder = draft.facts.folder if draft.facts is not None else None
    return previews(
        Data.model_validate(draft.recipe["data"]),
        base=Path.cwd(),
        tokenizer=ChatTokenizer.load(folder) if folder is not None else None,
        seq_len=draft.value("train.seq_len"),
        loss_on=loss_of(draft.value("method.objective") or "sft", draft.value("train.loss_on") or "answers"),
        count=_ROWS,
    )
