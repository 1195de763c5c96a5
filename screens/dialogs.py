"""Small windows over a page: ask for a value, confirm, choose, read a text, see the keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input

from tui_ft.errors import TuiFtError

from . import keys
from .draft import Draft
from .ink import BAD, KEY, MUTED, STRONG, columns, ink, join, stack
from .widgets.choice import Choice, Item
from .widgets.lines import Lines, Prose

ResultT = TypeVar("ResultT")


class Dialog(ModalScreen[ResultT | None]):
    """A framed window in the middle. Esc closes it and changes nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Close", show=False)]
    ESCAPE_TO_MINIMIZE = False
    hint: ClassVar[Sequence[tuple[str, str]]] = (("enter", "choose"), ("esc", "close"))

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title

    def compose(self) -> ComposeResult:
        """Title, content, keys."""
        with Vertical(id="window"):
            yield Prose(ink(self._title, STRONG), id="title")
            yield from self.content()
            yield Prose(
                Content("   ").join([join(ink(k, KEY), " ", ink(w, MUTED)) for k, w in self.hint]), id="hint"
            )

    def content(self) -> ComposeResult:
        """What is inside."""
        yield from ()

    def action_close(self) -> None:
        """Close without an answer."""
        self.dismiss(None)


class Select(Dialog[str]):
    """One of several things. `text` says what it is about."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "choose", "Choose", show=False)]

    def __init__(
        self,
        title: str,
        items: Sequence[Item],
        *,
        text: Content | str = "",
        current: str = "",
        marks: bool = True,
        wide: bool = False,
    ) -> None:
        super().__init__(title)
        self.set_class(wide, "-reading")
        self._items, self._text, self._current, self._marks = items, text, current, marks

    def content(self) -> ComposeResult:
        """The text and the choices."""
        if self._text:
            yield Prose(self._text, id="about")
        yield Choice(self._items, current=self._current, marks=self._marks)

    def action_choose(self) -> None:
        """Answer with the marked line."""
        chosen = self.query_one(Choice).current
        if chosen is not None and not chosen.closed:
            self.dismiss(chosen.id)
        elif chosen is not None:
            self.notify(chosen.closed, markup=False)


class Confirm(Dialog[bool]):
    """Yes or no, before something that is hard to take back. The safe answer is marked first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Choose", show=False),
        Binding("y", "answer(True)", "Yes", show=False),
        Binding("n", "answer(False)", "No", show=False),
    ]
    hint = (("y", "yes"), ("n", "no"), ("esc", "no"))

    def __init__(self, title: str, text: Content | str, *, yes: str, no: str) -> None:
        super().__init__(title)
        self._text, self._yes, self._no = text, yes, no

    def content(self) -> ComposeResult:
        """What will happen, and the two answers."""
        yield Prose(self._text, id="about")
        yield Choice([Item("no", self._no), Item("yes", self._yes)])

    def action_choose(self) -> None:
        """Answer with the marked line."""
        chosen = self.query_one(Choice).current
        self.dismiss(chosen is not None and chosen.id == "yes")

    def action_answer(self, yes: bool) -> None:
        """Answer by letter."""
        self.dismiss(yes)

    def action_close(self) -> None:
        """Esc means no."""
        self.dismiss(False)


class Ask(Dialog[str]):
    """One value. `check` raises TuiFtError or ValueError for a value that cannot be."""

    hint = (("enter", "take it"), ("esc", "leave it as it was"))

    def __init__(
        self,
        title: str,
        *,
        value: str = "",
        help: Content | str = "",  # noqa: A002
        check: Callable[[str], object] = str,
    ) -> None:
        super().__init__(title)
        self._value, self._help, self._check = value, help, check

    def content(self) -> ComposeResult:
        """Help, the field, and what is wrong with what was typed."""
        yield Prose(self._help, id="about")
        yield Input(self._value, id="field", select_on_focus=True)
        yield Prose(id="wrong")

    @on(Input.Submitted)
    def take(self, event: Input.Submitted) -> None:
        """Answer with the value when it can be."""
        try:
            self._check(event.value.strip())
        except TuiFtError as error:
            self._wrong(error.what)
        except ValueError as error:
            self._wrong(str(error))
        else:
            self.dismiss(event.value.strip())

    def _wrong(self, what: str) -> None:
        self.query_one("#wrong", Prose).show(join(ink("✗ ", BAD), ink(what)))


class Reader(Dialog[None]):
    """A text to scroll through, or a function from its width to rows."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "close", "Close", show=False),
        Binding("q", "close", "Close", show=False),
        Binding("home", "end(False)", "Start", show=False),
        Binding("end", "end(True)", "End", show=False),
    ]
    hint = (("↑↓", "scroll"), ("home end", "start, end"), ("esc", "close"))

    def __init__(
        self,
        title: str,
        text: Content | str | Callable[[int], Sequence[Content]],
        *,
        at_end: bool = False,
        wide: bool = True,
    ) -> None:
        super().__init__(title)
        self._text, self._at_end = text, at_end
        self.set_class(wide, "-reading")

    def content(self) -> ComposeResult:
        """The text."""
        with VerticalScroll(id="reader"):
            yield Lines(self._text) if callable(self._text) else Prose(self._text)

    def on_mount(self) -> None:
        """Take the arrow keys."""
        reader = self.query_one("#reader", VerticalScroll)
        reader.focus()
        if self._at_end:
            reader.scroll_end(animate=False)

    def action_end(self, last: bool) -> None:
        """To the start or the end."""
        reader = self.query_one("#reader", VerticalScroll)
        (reader.scroll_end if last else reader.scroll_home)(animate=False)


class KeyCard(Reader):
    """Every key of a place, from the same table as the footer."""

    def __init__(self, place: str, names: dict[str, str] | None = None) -> None:
        own = names or {}

        def rows(table: Sequence[keys.Key]) -> list[list[Content]]:
            return [[ink(own.get(key.id, key.shown), KEY), ink(key.help)] for key in table if key.help]

        here, everywhere = rows(keys.PLACES[place]), rows(keys.EVERYWHERE)
        lines = columns([*here, *everywhere], widths=(12,))
        text = stack([*lines[: len(here)], Content(""), ink("Everywhere", STRONG), *lines[len(here) :]])
        super().__init__(f"Keys · {keys.TITLES[place]}", text)


class Jump(Dialog[int]):
    """The eight steps, to go to one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Choose", show=False),
        *(Binding(str(n), f"step({n - 1})", f"Step {n}", show=False) for n in range(1, 9)),
    ]
    hint = (("1-8", "go there"), ("enter", "choose"), ("esc", "stay"))

    def __init__(self, draft: Draft) -> None:
        super().__init__("Go to a step")
        self._draft = draft

    def content(self) -> ComposeResult:
        """One line per step: what was decided there, or why it is closed."""
        steps = self._draft.steps()
        lines = columns(
            [
                [f"{s.number} {s.name}", ink(self._draft.closed(s.number - 1) or s.summary, MUTED)]
                for s in steps
            ]
        )
        here = next((str(s.number - 1) for s in steps if s.state == "here"), "0")
        yield Choice(
            [
                Item(str(s.number - 1), line, closed=self._draft.closed(s.number - 1))
                for s, line in zip(steps, lines, strict=True)
            ],
            current=here,
        )

    def action_choose(self) -> None:
        """Go to the marked step."""
        chosen = self.query_one(Choice).current
        if chosen is not None:
            self.action_step(int(chosen.id))

    def action_step(self, step: int) -> None:
        """Go to a step by its digit."""
        self.dismiss(step)
