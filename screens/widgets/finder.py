"""A field with what matches below it: type to narrow down, arrows to choose, enter to use."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input

from .choice import Choice, Item


class Finder(Vertical):
    """The focus stays in the field; up and down move the mark in the list."""

    DEFAULT_CSS = """
    Finder { height: 1fr; }
    Finder > Input, Finder > Input:focus {
        border: none; height: 1; padding: 0 1; background: $surface; background-tint: 0%;
    }
    Finder > Choice { margin: 1 0 0 0; height: 1fr; }
    """

    class Typed(Message):
        """The text of the field has changed."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Used(Message):
        """Enter was pressed, or a line was clicked. `item` is the marked line, if any."""

        def __init__(self, text: str, item: Item | None) -> None:
            super().__init__()
            self.text, self.item = text, item

    class Marked(Message):
        """The mark moved to another line."""

        def __init__(self, item: Item) -> None:
            super().__init__()
            self.item = item

    def __init__(self, *, text: str = "", hint: str = "", id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._initial, self._hint = text, hint

    def compose(self) -> ComposeResult:
        """The field and the list."""
        yield Input(self._initial, placeholder=self._hint, select_on_focus=False)
        choice = Choice(marks=False)
        choice.can_focus = False
        yield choice

    def on_mount(self) -> None:
        """Type at once."""
        self.query_one(Input).focus()

    @property
    def text(self) -> str:
        """What is in the field."""
        return self.query_one(Input).value

    @text.setter
    def text(self, value: str) -> None:
        field = self.query_one(Input)
        field.value = value
        field.cursor_position = len(value)

    @property
    def item(self) -> Item | None:
        """The marked line."""
        return self.query_one(Choice).current

    def offer(self, items: Sequence[Item], *, current: str = "") -> None:
        """Show these lines."""
        self.query_one(Choice).fill(items, current=current)

    def move(self, by: int) -> None:
        """Move the mark."""
        choice = self.query_one(Choice)
        (choice.action_cursor_down if by > 0 else choice.action_cursor_up)()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Typed(event.value))

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Used(event.value.strip(), self.item))

    @on(Choice.Picked)
    def _clicked(self, event: Choice.Picked) -> None:
        event.stop()
        self.post_message(self.Used(self.text.strip(), event.item))

    @on(Choice.Moved)
    def _marked(self, event: Choice.Moved) -> None:
        event.stop()
        self.post_message(self.Marked(event.item))
