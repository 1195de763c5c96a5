"""The app: holds the draft, opens places, and leaves the terminal as it was found."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import sys
import termios
import tomllib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from textual.app import App, SystemCommand
from textual.content import Content
from textual.filter import LineFilter
from textual.screen import Screen

from tui_ft.errors import EnvironmentProblem, TuiFtError
from tui_ft.log import record_crash
from tui_ft.settings import Home

from . import draft as drafts
from . import keys, price
from .draft import Draft, Place, place_of_step
from .filters import AsciiLines, SafeLines
from .ink import MUTED, ink
from .page import Page, in_thread
from .terminal import Terminal
from .theme import DARK, LIGHT, THEMES, theme_for

# place -> module and class; loaded when first opened, so that the first frame waits for one page only
_PAGES: dict[Place, tuple[str, str]] = {
    "welcome": ("welcome", "WelcomePage"),
    "question": ("decide", "QuestionPage"),
    "verdict": ("decide", "VerdictPage"),
    "hardware": ("hardware", "HardwarePage"),
    "pick-model": ("pick_model", "PickModelPage"),
    "model": ("model", "ModelPage"),
    "pick-data": ("pick_data", "PickDataPage"),
    "data": ("data", "DataPage"),
    "plan": ("plan", "PlanPage"),
    "train": ("train", "TrainPage"),
    "evaluate": ("evaluate", "EvaluatePage"),
    "export": ("export", "ExportPage"),
    "runs": ("runs", "RunsPage"),
}


class TuiFt(App[None], inherit_bindings=False):
    """The wizard and the dashboard."""

    TITLE = "tui-ft"
    CSS_PATH = "shell.tcss"
    BINDINGS = keys.global_bindings()
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012  # as Textual declares it
    VERTICAL_BREAKPOINTS = [(0, "-low"), (36, "-tall")]  # noqa: RUF012
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "ctrl+p"
    NOTIFICATION_TIMEOUT = 4

    def __init__(
        self, home: Home, terminal: Terminal, *, recipe: Path | None = None, run: str | None = None
    ) -> None:
        super().__init__()
        self.home = home
        self.terminal = terminal
        self.draft = _first_draft(home, recipe, run)
        self.key_names: dict[str, str] = {}
        self._warned = False
        self._looked = False
        self._no_machine = False
        self._broken: TuiFtError | None = None
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = theme_for(terminal)
        self._gates: list[LineFilter] = [SafeLines(), *([AsciiLines()] if terminal.ascii else [])]

    # Starting and leaving

    def on_mount(self) -> None:
        """Open the right place; be ready for signals and for a terminal that goes away."""
        loop = asyncio.get_running_loop()
        if not self.is_headless:
            # Textual itself dies of these with the terminal left in its alternate screen.
            for number in (signal.SIGTERM, signal.SIGHUP):
                loop.add_signal_handler(number, self._leave_by, number)
            self.set_interval(2.0, self._watch_terminal)
        self._load_keymap()
        self.push_screen(_page(self.draft.place))

    def get_line_filters(self) -> list[LineFilter]:
        """Textual's own, then the gates that let only printable (or only ASCII) text through."""
        return [*super().get_line_filters(), *self._gates]

    def _fatal_error(self) -> None:
        # Textual's hook for what nobody caught: it would print a traceback over the terminal.
        if self.is_headless:
            super()._fatal_error()
            return
        self._broken = self.record_crash()
        self._return_code = int(self._broken.exit_code)
        self._close_messages_no_wait()

    def farewell(self) -> str:
        """What to say on the terminal after leaving."""
        if self._broken is not None:
            return f"tui-ft: {self._broken}"
        if self.draft.run and self.draft.place == "train":
            run = self.draft.run
            return f"The run goes on. `tui-ft` shows it again; `tui-ft watch {run}` follows it."
        if self.draft.place not in ("welcome", "runs"):
            return "Your place is kept. `tui-ft` goes on from here."
        return ""

    def _load_keymap(self) -> None:
        path = self.home.root / "keys.toml"
        try:
            given = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            self.say(f"keys.toml is not used: {error}", warning=True)
            return
        known = {key.id for place in keys.PLACES.values() for key in place} | {k.id for k in keys.EVERYWHERE}
        keymap = {name: value for name, value in given.items() if name in known and isinstance(value, str)}
        unknown = sorted(set(given) - set(keymap))
        if unknown:
            self.say(f"keys.toml names unknown keys: {', '.join(unknown)}", warning=True)
        self.key_names = {
            name: replace(keys.EVERYWHERE[0], keys=value).shown for name, value in keymap.items()
        }
        self.set_keymap(keymap)

    def _leave_by(self, number: int) -> None:
        self.exit(return_code=128 + number)

    def _watch_terminal(self) -> None:
        # When SIGHUP is ignored (nohup) and the terminal goes, reads fail for ever and would spin a core.
        stream = sys.__stderr__
        if stream is None:
            return
        try:
            termios.tcgetattr(stream.fileno())
        except (termios.error, ValueError):
            os._exit(128 + signal.SIGHUP)

    # The draft

    def change(self, **fields: Any) -> None:
        """Replace fields of the draft, keep it on disk, draw the frame again."""
        self.set_draft(replace(self.draft, **fields))

    def set_values(self, **changes: Any) -> None:
        """Change recipe keys, written with `__` for the dot: `train__epochs=2`."""
        self.set_draft(self.draft.with_values({k.replace("__", "."): v for k, v in changes.items()}))

    def set_draft(self, draft: Draft) -> None:
        """The draft from now on."""
        self.draft = draft
        self._keep()
        for screen in self.screen_stack:
            if isinstance(screen, Page):
                screen.redraw()

    def _keep(self) -> None:
        problem = drafts.save(self.draft, self.home)
        if problem is not None and not self._warned:
            self._warned = True
            self.say(f"Your place cannot be kept: {problem.what}. {problem.fix}", warning=True)

    # Places

    def open(self, place: Place) -> None:
        """Show a place, in the stead of the page that is shown."""
        # Below the page lies Textual's own empty screen; above it there may be dialogs.
        while len(self.screen_stack) > 2:
            self.pop_screen()
        self.draft = replace(self.draft, place=place)
        self._keep()
        self.switch_screen(_page(place))

    def finish_step(self, step: int, place: Place) -> None:
        """Mark a step (0-based) as done and open the next place."""
        self.draft = self.draft.with_done(step)
        self.open(place)

    def begin(self, draft: Draft) -> None:
        """Start with this draft in the stead of the one at hand; runs are not touched."""
        self.draft = replace(draft, hardware=self.draft.hardware)
        self.open(draft.place if draft.place != "welcome" else "question")

    def open_run(self, run_id: str) -> None:
        """A run where it stands: its dashboard, with the steps after it open."""
        self.draft = self.draft.with_run(run_id)
        self.open("train")

    def resume(self) -> None:
        """Where the wizard was before the welcome page."""
        open_steps = (i for i in range(self.draft.reached, -1, -1) if not self.draft.closed(i))
        self.open(place_of_step(self.draft, next(open_steps, 0)))

    def back(self) -> None:
        """The place before this one."""
        place = self.draft.place
        step = self.draft.step
        if place == "pick-model" and self.draft.model_id:
            self.open("model")
        elif place == "pick-data" and self.draft.data_paths:
            self.open("data")
        elif place == "train":
            self.open("runs")
        elif step is None or place == "question":
            self.open("welcome")
        else:
            before = step if place == "verdict" else step - 1
            self.open(place_of_step(self.draft, before) if place != "verdict" else "question")

    def box_line(self) -> Content:
        """The machine in a few words, for the header."""
        if self.draft.hardware is None:
            self.look_at_machine()
            return ink("machine unknown" if self._no_machine else "looking at this machine …", MUTED)
        return machine_line(self.draft)

    def look_at_machine(self) -> None:
        """Find out about the hardware, once, beside the interface."""
        if not self._looked:
            self._looked = True
            # The first frame comes first: the look loads modules that would hold it up.
            self.set_timer(0.05, self._start_look)

    def _start_look(self) -> None:
        self.run_worker(self._look_at_machine(), group="machine", exit_on_error=False)

    async def _look_at_machine(self) -> None:
        from tui_ft.hardware.detect import detect

        try:
            hardware = await in_thread(lambda: detect(self.home))
        except Exception:  # the hardware page tries again and tells
            self.record_crash()
            self._no_machine = True
            return
        price.learn(self, hardware)

    # Actions of keys that hold everywhere

    def action_keys(self) -> None:
        """The key card of this place."""
        from .dialogs import KeyCard

        if isinstance(self.screen, Page):
            self.push_screen(KeyCard(self.screen.place, self.key_names))

    def action_jump(self) -> None:
        """The list of steps."""
        from .dialogs import Jump

        if isinstance(self.screen, Page):
            self.push_screen(Jump(self.draft), self.go_to_step)

    def go_to_step(self, step: int | None) -> None:
        """Open a step (0-based), or say why it cannot be opened yet."""
        if step is None:
            return
        closed = self.draft.closed(step)
        if closed:
            self.say(closed)
        else:
            self.open(place_of_step(self.draft, step))

    def action_theme(self) -> None:
        """Light or dark."""
        other = {DARK: LIGHT, LIGHT: DARK}
        if self.theme in other:
            self.theme = other[self.theme]
        else:
            self.say("This terminal's own colours are used; there is nothing to switch.")

    async def action_quit(self) -> None:
        """Leave; a text that is marked is copied instead, as ctrl-c does elsewhere."""
        selected = self.screen.get_selected_text()
        if selected:
            self.copy_to_clipboard(selected)
            self.screen.clear_selection()
            return
        self.exit()

    async def action_back(self) -> None:
        """One level back."""
        self.back()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """What the palette offers: the steps, the keys of this place, and what holds everywhere."""
        for step in self.draft.steps():
            yield SystemCommand(
                f"Step {step.number}: {step.name}",
                self.draft.closed(step.number - 1) or step.summary or "Open this step",
                lambda number=step.number: self.go_to_step(number - 1),
            )
        if isinstance(screen, Page):
            for key in keys.PLACES[screen.place]:
                yield SystemCommand(
                    key.label.capitalize(), key.help, lambda action=key.action: self._run_on(screen, action)
                )
        yield SystemCommand("Runs", "Runs on this machine, live and past", lambda: self.open("runs"))
        yield SystemCommand("Light or dark", "Switch the colours", self.action_theme)
        yield SystemCommand("Keys", "All keys of this place", self.action_keys)
        yield SystemCommand("Quit", "Leave; the place is kept, a run goes on", self.action_quit)

    def _run_on(self, screen: Screen[Any], action: str) -> None:
        self.call_later(screen.run_action, action)

    # Saying things

    def say(self, text: str, *, warning: bool = False) -> None:
        """A line at the edge that goes away by itself."""
        from tui_ft.text import sanitize

        self.notify(sanitize(text), severity="warning" if warning else "information", markup=False)

    def record_crash(self) -> TuiFtError:
        """The exception being handled goes to the log; what the user is told comes back."""
        return EnvironmentProblem("something broke inside tui-ft", fix=record_crash(self.home))


def _page(place: Place) -> Page:
    module, name = _PAGES[place]
    page: Page = getattr(importlib.import_module(f".{module}", __package__), name)()
    return page


def _first_draft(home: Home, recipe: Path | None, run: str | None) -> Draft:
    if recipe is not None:
        return drafts.from_recipe_file(recipe)
    kept = drafts.load(home)
    run = run or _living_run(home)
    return replace(kept, run=run, place="train") if run else kept


def _living_run(home: Home) -> str:
    """The newest run that is at work; "" when there is none."""
    if not home.runs.is_dir():
        return ""
    from tui_ft.runs import status
    from tui_ft.runs.folder import list_runs

    return next((folder.id for folder in list_runs(home) if status.alive(folder)), "")


def machine_line(draft: Draft) -> Content:
    """`RTX 4090 · 23.1 GiB free · $0.55/h`"""
    from tui_ft.hardware.describe import header

    assert draft.hardware is not None
    parts = [ink(header(draft.hardware))]
    if draft.price:
        parts.append(ink(f"${draft.price:,.2f}/h"))
    return Content(" · ").join(parts)
