"""A list to choose from: one line, or several where the question allows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from ..ink import ACCENT, MUTED, ink, join


@dataclass(frozen=True, slots=True)
class Item:
    """A line to choose. `closed` says why it cannot be chosen now; it stays visible."""

    id: str
    label: Content | str
    help: str = ""
    closed: str = ""


class Choice(OptionList, inherit_bindings=False):
    """Lines with a mark. With `several`, the space key marks and unmarks; else the mark is the cursor.

    The enter key is left to the page, where it means "go on".
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "cursor_down", "Down", show=False),
        Binding("up,k", "cursor_up", "Up", show=False),
        Binding("home", "first", "First", show=False),
        Binding("end", "last", "Last", show=False),
    ]
    DEFAULT_CSS = """
    Choice, Choice:focus {
        height: auto; max-height: 100%; border: none; padding: 0;
        background: $background; background-tint: 0%; scrollbar-size-vertical: 1;
        text-wrap: nowrap; text-overflow: ellipsis;
        & > .option-list--option { padding: 0 1; }
        & > .option-list--option-highlighted {
            color: $foreground; background: $cursor; text-style: $cursor-style;
        }
        & > .option-list--option-hover { background: $surface; }
    }
    """

    class Moved(Message):
        """The cursor is on another line."""

        def __init__(self, choice: Choice, item: Item) -> None:
            super().__init__()
            self.choice, self.item = choice, item

        @property
        def control(self) -> Choice:
            """The list."""
            return self.choice

    class Picked(Moved):
        """A line was clicked."""

    def __init__(
        self,
        items: Sequence[Item] = (),
        *,
        several: bool = False,
        marks: bool = True,
        current: str = "",
        chosen: Sequence[str] = (),
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes, markup=False)
        self._items: tuple[Item, ...] = ()
        self._several, self._marks = several, marks
        self._chosen = set(chosen)
        self._marked = -1
        self.fill(items, current=current)

    def fill(self, items: Sequence[Item], *, current: str = "") -> None:
        """Other lines; the cursor stays on the same id where it can."""
        keep = current or (self.current.id if self.current else "")
        self._items = tuple(items)
        self._chosen &= {item.id for item in items}
        at = next((i for i, item in enumerate(items) if item.id == keep), 0)
        self._marked = at
        self.set_options([Option(self._prompt(i)) for i in range(len(items))])
        self.highlighted = at if items else None

    def restart(
        self, items: Sequence[Item], *, several: bool, current: str = "", chosen: Sequence[str] = ()
    ) -> None:
        """Become the list of another question."""
        self._several, self._chosen = several, set(chosen)
        self.fill(items, current=current or (items[0].id if items else ""))

    @property
    def items(self) -> tuple[Item, ...]:
        """All lines."""
        return self._items

    @property
    def current(self) -> Item | None:
        """The line the cursor is on."""
        at = self.highlighted
        return self._items[at] if at is not None and at < len(self._items) else None

    @property
    def chosen(self) -> tuple[str, ...]:
        """The marked ids, in the order of the list; without `several` the one under the cursor."""
        if self._several:
            return tuple(item.id for item in self._items if item.id in self._chosen)
        return (self.current.id,) if self.current else ()

    def toggle(self, *, alone: Sequence[str] = ()) -> None:
        """Mark or unmark the line under the cursor. Lines in `alone` exclude all others."""
        item = self.current
        if not self._several or item is None or item.closed:
            return
        before = set(self._chosen)
        self._chosen ^= {item.id}
        if item.id in self._chosen:
            self._chosen -= (self._chosen if item.id in alone else set(alone)) - {item.id}
        for at, other in enumerate(self._items):
            if (other.id in before) != (other.id in self._chosen):
                self._redraw(at)

    def watch_highlighted(self, highlighted: int | None) -> None:
        """Carry the mark along with the cursor."""
        super().watch_highlighted(highlighted)
        before, self._marked = self._marked, -1 if highlighted is None else highlighted
        if self._marks and not self._several:
            for at in {before, self._marked}:
                self._redraw(at)
        if self.current is not None:
            self.post_message(self.Moved(self, self.current))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """A click."""
        event.stop()
        if self.current is not None:
            self.post_message(self.Picked(self, self.current))

    def _redraw(self, at: int) -> None:
        if 0 <= at < min(len(self._items), self.option_count):
            self.replace_option_prompt_at_index(at, self._prompt(at))

    def _prompt(self, at: int) -> Content:
        item = self._items[at]
        label = (
            item.label if isinstance(item.label, Content) else ink(item.label, MUTED if item.closed else "")
        )
        if not self._marks:
            return label
        if self._several:
            sign = join(
                ink("[", MUTED), ink("x", ACCENT) if item.id in self._chosen else " ", ink("] ", MUTED)
            )
        else:
            sign = Content.styled("● ", ACCENT) if at == self._marked else ink("○ ", MUTED)
        return join(sign, label)
