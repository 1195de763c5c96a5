"""The runs on this machine, live and past."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.content import Content

from tui_ft.settings import Home
from tui_ft.text import duration

from . import keys
from .dashboard import STATE_WORDS
from .draft import Draft, from_recipe
from .ink import ACCENT, BAD, GOOD, MUTED, STRONG, WARN, columns, ink, join, stack
from .page import Page, in_thread
from .widgets.choice import Choice, Item
from .widgets.lines import Prose

if TYPE_CHECKING:
    from tui_ft.runs.folder import RunFolder

_MOST = 200
_SIGNS = {
    "finished": ("✓", GOOD),
    "stopped": ("✓", GOOD),
    "paused": ("·", MUTED),
    "queued": ("·", MUTED),
    "failed": ("✗", BAD),
    "lost": ("!", WARN),
}


@dataclass(frozen=True, slots=True)
class Past:
    """A run as the list shows it."""

    id: str
    name: str
    state: str
    alive: bool
    step: int
    steps: int | None
    best: float | None
    touched: float | None  # seconds since the epoch


class RunsPage(Page):
    """A list; enter opens a run where it stands."""

    place = "runs"
    BINDINGS = keys.bindings("runs")

    def body(self) -> ComposeResult:
        """Title and list."""
        yield Prose(ink("Runs on this machine", STRONG), id="question")
        yield Choice(marks=False, id="runs")
        yield Prose(id="none")

    def command(self) -> str:
        """The same on the command line."""
        return "tui-ft runs"

    def on_mount(self) -> None:
        """Read them now and every few seconds."""
        self.query_one("#body").add_class("-still")
        self.query_one(Choice).focus()
        self.action_refresh()
        self.set_interval(10.0 if self.shell.terminal.remote else 5.0, self._reread)

    def action_refresh(self) -> None:
        """Read the runs again."""
        self.start(self._list(), "Reading the runs")

    def _reread(self) -> None:
        if not self.busy:
            self.run_worker(self._list(), group="reread", exclusive=True, exit_on_error=False)

    async def _list(self) -> None:
        home = self.shell.home
        found = await in_thread(lambda: past_runs(home))
        lines = columns([_cells(run) for run in found], align="llrrr")
        items = [Item(run.id, line) for run, line in zip(found, lines, strict=True)]
        choice = self.query_one(Choice)
        if [(i.id, i.label) for i in choice.items] != [(i.id, i.label) for i in items]:
            choice.fill(items)
        empty = stack(
            ["", "None yet.", ink("The welcome page starts one; the demo shows how it goes.", MUTED)]
        )
        self.query_one("#none", Prose).show("" if items else empty)

    @on(Choice.Picked)
    def _clicked(self) -> None:
        self.action_open()

    def action_open(self) -> None:
        """Open the marked run."""
        run = self.query_one(Choice).current
        if run is not None:
            self.shell.open_run(run.id)

    def action_copy(self) -> None:
        """A new recipe from this run's."""
        run = self.query_one(Choice).current
        if run is not None:
            self.start(self._copy(run.id), "Reading its recipe")

    async def _copy(self, run_id: str) -> None:
        home = self.shell.home
        draft = await in_thread(lambda: draft_of(home, run_id))
        self.shell.begin(draft)


def draft_of(home: Home, run_id: str) -> Draft:
    """A new draft with the recipe of a run. Raises InputError."""
    from tui_ft.runs.folder import find

    folder = find(home, run_id)
    return from_recipe(folder.read_recipe(), folder.path)


def past_runs(home: Home) -> list[Past]:
    """Every run, living ones first, then the newest."""
    from tui_ft.runs.folder import list_runs

    found = [past(folder) for folder in list_runs(home)[:_MOST]]
    return sorted(found, key=lambda run: not run.alive)


def past(folder: RunFolder) -> Past:
    """One run from its status files."""
    from tui_ft.runs import status

    training = status.reality(folder, "train")
    others = [status.reality(folder, job) for job in ("evaluate", "export")]
    at_work = next((job for job in others if job.alive), training)
    return Past(
        id=folder.id,
        name=folder.id.rsplit("-", 3)[0],
        state=at_work.state,
        alive=at_work.alive,
        step=training.status.step,
        steps=training.status.steps,
        best=training.status.best_loss,
        touched=training.status.heartbeat or training.status.started,
    )


def _cells(run: Past) -> list[Content]:
    sign, style = _SIGNS.get(run.state, ("●", ACCENT))
    age = f"{duration(max(0.0, time.time() - run.touched))} ago" if run.touched and not run.alive else ""
    steps = f"step {run.step:,} of {run.steps:,}" if run.steps else f"step {run.step:,}"
    return [
        join(ink(f"{sign} ", style), ink(run.name, STRONG)),
        ink(STATE_WORDS.get(run.state, run.state), "" if run.alive else MUTED),
        ink(steps, MUTED),
        ink(f"best {run.best:.3f}" if run.best is not None else "", MUTED),
        ink(age, MUTED),
    ]
