"""What the pages of a run share: they read its folder again and again, and never write to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from textual.content import Content

from tui_ft.errors import TuiFtError

from .ink import ink
from .page import Page, in_thread

if TYPE_CHECKING:
    from tui_ft.runs.control import RequestName
    from tui_ft.runs.folder import Job, RunFolder
    from tui_ft.runs.status import Reality
    from tui_ft.runs.view import RunView, RunWatcher

_POLL_S = 1.0
_POLL_REMOTE_S = 2.5
_LOG_BYTES = 64_000


class RunPage(Page):
    """Watches the run of the draft. Subclasses draw it in `show_run`."""

    def __init__(self) -> None:
        super().__init__()
        self.folder: RunFolder | None = None
        self.view: RunView | None = None
        self._watcher: RunWatcher | None = None
        self._told_of_failure = False
        self._awake = asyncio.Event()

    def on_mount(self) -> None:
        """Watch until the page is left."""
        self.run_worker(self._watch(), group="watch", exit_on_error=False)

    def show_run(self, view: RunView) -> None:
        """Draw the run as it is now."""

    def read_more(self, folder: RunFolder) -> None:
        """Read what this page needs besides the view; runs in the reading thread."""

    def look_now(self) -> None:
        """Read again at once instead of at the next tick."""
        self._awake.set()

    async def _watch(self) -> None:
        pause = _POLL_REMOTE_S if self.shell.terminal.remote else _POLL_S
        while True:
            try:
                view = await in_thread(self._read)
            except TuiFtError as error:
                self.failed(error)
                return
            except Exception:  # a damaged folder must not end the watching
                if not self._told_of_failure:
                    self._told_of_failure = True
                    self.failed(self.shell.record_crash())
            else:
                self.view = view
                self.show_run(view)
                self.redraw()
            self._awake.clear()
            try:
                await asyncio.wait_for(self._awake.wait(), pause)
            except TimeoutError:
                continue

    def _read(self) -> RunView:
        from tui_ft.runs.folder import find
        from tui_ft.runs.view import RunWatcher

        if self._watcher is None:
            self.folder = find(self.shell.home, self.draft.run)
            self._watcher = RunWatcher(self.folder)
        assert self.folder is not None
        self.read_more(self.folder)
        return self._watcher.poll()

    def reality(self, job: Job) -> Reality | None:
        """A job's status held against what is there; None before the run was opened."""
        if self.folder is None:
            return None
        from tui_ft.runs import status

        return status.reality(self.folder, job)

    def launch(self, start: Callable[[RunFolder], object], note: str) -> None:
        """Start a process of this run."""
        self.start(self._launch(start), note, whole=True)

    async def _launch(self, start: Callable[[RunFolder], object]) -> None:
        folder = self.folder
        if folder is None:
            return
        await in_thread(lambda: start(folder))
        self.look_now()

    def request(self, name: RequestName, said: str) -> None:
        """Ask the worker for something; says what will happen, or why it cannot."""
        self.run_worker(self._request(name, said), group="request", exit_on_error=False)

    async def _request(self, name: RequestName, said: str) -> None:
        from tui_ft.runs import control

        folder = self.folder
        if folder is None:
            return
        try:
            await in_thread(lambda: control.request(folder, name))
        except TuiFtError as error:
            self.shell.say(f"{error.what[:1].upper()}{error.what[1:]}.", warning=True)
        else:
            self.shell.say(said)
            self.look_now()

    def action_log(self) -> None:
        """What the worker printed."""
        if self.folder is not None:
            self.read_file(self.folder.log, "Log", at_end=True)

    def read_file(self, path: Path, title: str, *, at_end: bool = False) -> None:
        """Show a text file; of a long one the end."""
        from .dialogs import Reader

        try:
            with path.open("rb") as file:
                end = file.seek(0, 2)
                file.seek(max(0, end - _LOG_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError as error:
            self.shell.say(f"{path} cannot be read: {error.strerror}", warning=True)
            return
        # A progress bar draws over its line after a carriage return; only its last state counts.
        lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
        self.shell.push_screen(Reader(f"{title} · {path}", "\n".join(lines) or "It is empty.", at_end=at_end))

    def name_shown(self) -> str:
        """The run's name."""
        return "" if self.view is None else self.view.name

    def header_right(self) -> Content:
        """Filled once the run is read."""
        return ink("") if self.view is None else super().header_right()
