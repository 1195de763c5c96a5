"""What all pages share: the frame, slow work off the interface, errors, moving between places."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget

from tui_ft.errors import TuiFtError
from tui_ft.text import duration

from . import keys
from .draft import Draft, Place
from .ink import MUTED, ink, join
from .widgets import frame
from .widgets.lines import Lines, Prose
from .widgets.notice import Notice

if TYPE_CHECKING:
    from .shell import TuiFt

T = TypeVar("T")

NARROW, LOW = 80, 24  # the smallest terminal everything is made for
WIDE = 110


async def in_thread(call: Callable[[], T]) -> T:
    """Run something slow beside the interface.

    On a daemon thread: an executor's threads would hold up leaving the program until they are done.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(act: Callable[[Any], None], value: Any) -> None:
        # The loop may be closed by now: nobody waits for the value any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(lambda: None if future.done() else act(value))

    def run() -> None:
        try:
            value = call()
        except BaseException as error:  # handed on to whoever waits
            settle(future.set_exception, error)
        else:
            settle(future.set_result, value)

    Thread(target=run, name="tui-ft-work", daemon=True).start()
    return await future


class Page(Screen[None]):
    """One place of the wizard. Subclasses compose a body and bind the actions of their keys."""

    place: ClassVar[Place]
    wide_rail: ClassVar[bool] = True  # False: the page wants the whole width for itself
    ESCAPE_TO_MINIMIZE = False

    def __init__(self) -> None:
        super().__init__(classes="" if self.wide_rail else "-no-rail")
        self._note = ""
        self._whole = False
        self._since = 0.0

    # What a page says

    def body(self) -> ComposeResult:
        """The widgets between header and footer."""
        yield from ()

    def command(self) -> str:
        """The command that does the same as this page; "" when there is none."""
        return ""

    def name_shown(self) -> str:
        """The name of the recipe or run, for the header."""
        return self.draft.name

    def place_name(self) -> str:
        """What the header says after the name of the recipe."""
        return ""

    def header_right(self) -> Content:
        """The right end of the header: the machine."""
        return self.shell.box_line()

    # Frame

    def compose(self) -> ComposeResult:
        """Header, rail, body, message, progress, command, footer."""
        yield Lines(self._header, id="header")
        yield Lines(lambda width: [frame.rail_row(self.draft.steps(), width)], id="rail-row")
        with Horizontal(id="middle"):
            yield Lines(lambda width: frame.rail_column(self.draft.steps(), width), id="rail-column")
            with Vertical(id="main"):
                with VerticalScroll(id="body", can_focus=False):
                    yield from self.body()
                yield Notice(id="notice")
                yield Prose(id="busy")
                yield Lines(self._command_line, id="command")
        yield Lines(self._footer, id="footer")
        yield Prose(id="too-small")

    def on_mount(self) -> None:
        """Start drawing the progress line's seconds."""
        self._event_loop = asyncio.get_running_loop()
        self.query_one("#command").set_class(not self.command(), "-none")
        self.set_interval(1.0, self._tick)

    def on_resize(self, event: events.Resize) -> None:
        """Below the smallest size only a notice is shown."""
        small = event.size.width < NARROW or event.size.height < LOW
        self.set_class(small, "-small")
        if small:
            self.query_one("#too-small", Prose).show(
                f"This window is {event.size.width}×{event.size.height}; tui-ft needs {NARROW}×{LOW}.\n"
                "Enlarge it, or use `tui-ft --plain`. Nothing is lost."
            )

    def redraw(self) -> None:
        """Draw the frame again after the draft has changed."""
        self.query_one("#header", Lines).show(self._header)
        self.query_one("#rail-row", Lines).show(lambda width: [frame.rail_row(self.draft.steps(), width)])
        self.query_one("#rail-column", Lines).show(lambda width: frame.rail_column(self.draft.steps(), width))
        command = self.query_one("#command", Lines)
        command.set_class(not self.command(), "-none")
        command.show(self._command_line)

    def refresh_footer(self) -> None:
        """Draw the footer again after `footer_keys` has changed its mind."""
        self.query_one("#footer", Lines).show(self._footer)

    def footer_keys(self) -> tuple[keys.Key, ...]:
        """The keys the footer shows; pages with states narrow it down."""
        return keys.footer(self.place)

    def _header(self, width: int) -> list[Content]:
        return [frame.header(self.name_shown(), self.place_name(), self.header_right(), width)]

    def _command_line(self, width: int) -> list[Content]:
        del width
        return [join(ink(" same as   ", MUTED), ink(self.command()))]

    def _footer(self, width: int) -> list[Content]:
        return [frame.footer(self.footer_keys(), width, self.shell.key_names)]

    # State

    @property
    def shell(self) -> TuiFt:
        """The app, by its own type."""
        return cast("TuiFt", self.app)

    @property
    def draft(self) -> Draft:
        """The wizard's state."""
        return self.shell.draft

    @property
    def notice(self) -> Notice:
        """Where messages are shown."""
        return self.query_one("#notice", Notice)

    @property
    def busy(self) -> bool:
        """Slow work is going on."""
        return bool(self._note)

    # Slow work

    def start(self, work: Coroutine[Any, Any, None], note: str, *, whole: bool = False) -> None:
        """Run a coroutine with `note` in the progress line; shows what goes wrong instead of raising.

        One at a time per page: a new one takes the place of the one before, unless that must be done
        `whole`, such as starting a process.
        """
        if self.must_wait():
            work.close()
            return
        self._whole = whole
        self.notice.clear()
        self._since = monotonic()
        self._set_note(note)
        self.run_worker(self._guard(work, note), exclusive=True, group="page", exit_on_error=False)

    def must_wait(self) -> bool:
        """Something is at work that must not be cut short; says so."""
        if self._whole and self.busy:
            self.shell.say("One moment: this must be done first.")
            return True
        return False

    def progress(self, note: str) -> None:
        """Change the progress line; may be called from any thread."""
        with suppress(RuntimeError):  # the program is being left
            self._event_loop.call_soon_threadsafe(self._set_note, note)

    async def _guard(self, work: Awaitable[None], note: str) -> None:
        self._since = monotonic()
        self._set_note(note)
        try:
            await work
        except TuiFtError as error:
            self.failed(error)
        except Exception:  # the last resort: a sentence for the user, the traceback for the log
            self.failed(self.shell.record_crash())
        finally:
            self._set_note("")

    def failed(self, error: TuiFtError) -> None:
        """Show an error; pages add what it means for them."""
        self.notice.tell(error)

    def _set_note(self, note: str) -> None:
        self._note = note
        if not self.is_attached:
            return
        line = self.query_one("#busy", Prose)
        line.display = bool(note)
        self._tick()

    def _tick(self) -> None:
        if not self._note:
            return
        elapsed = monotonic() - self._since
        text = join(ink(" … ", "bold $accent"), ink(self._note))
        if elapsed >= 2:
            text = join(text, ink(f"   {duration(elapsed)}", MUTED))
        self.query_one("#busy", Prose).show(text)

    # Moving

    def action_back(self) -> None:
        """One level back; the app knows where that is."""
        if not self.must_wait():
            self.shell.back()

    def action_scroll(self, direction: int) -> None:
        """Page up or down, wherever the focus is."""
        body = self.query_one("#body", VerticalScroll)
        body.scroll_relative(y=direction * max(1, body.size.height - 2), animate=False)

    def focus_body(self) -> Widget:
        """Let the arrow keys scroll the body, for pages without anything to choose."""
        body = self.query_one("#body", VerticalScroll)
        body.can_focus = True
        body.focus()
        return body
