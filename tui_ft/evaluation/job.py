"""The frame around an evaluation or export: the run's lock, requests to stop, and how it ends."""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from tui_ft.errors import ExitCode, TuiFtError
from tui_ft.runs import control, status
from tui_ft.runs.diagnosis import explain
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.launch import LOCK_VARIABLE
from tui_ft.runs.reporter import Reporter
from tui_ft.runs.status import State
from tui_ft.training.signals import Stops

JobName = Literal["evaluate", "export"]
_AT_WORK: dict[JobName, State] = {"evaluate": "evaluating", "export": "exporting"}


class Stopped(Exception):
    """Somebody asked the job to stop."""


class Session:
    """A job under way: says what it does, and hears when it should stop."""

    def __init__(self, reporter: Reporter, name: JobName, stops: Stops) -> None:
        self.folder = reporter.folder
        self._reporter = reporter
        self._name = name
        self._stops = stops

    def phase(self, words: str, *, total: int | None = None) -> None:
        """Say what is done now, e.g. "answering with the base model". Raises Stopped when asked to."""
        self.check()
        self._reporter.enter(_AT_WORK[self._name], words, total=total)

    def progress(self, done: int) -> None:
        """Say how much of the phase is done. Raises Stopped when asked to."""
        self.check()
        self._reporter.update(done=done)
        self.event("progress", done=done, total=self._reporter.status.total)

    def event(self, kind: str, **values: Any) -> None:
        """Append an event; a `text` among the values is shown to people as news."""
        self._reporter.event(kind, **values)

    def warn(self, id: str, what: str) -> None:  # noqa: A002
        """Append something the user should look at."""
        self._reporter.alert(id, "warning", what, "")

    def check(self) -> None:
        """Raise Stopped when a request or a signal asks for it."""
        asked = bool(self._stops.received)
        taken = control.take(self.folder)
        for request in taken.requests:
            self.event("control", id=request.id, request=request.name, text="Stopping")
            asked = True
        for file in taken.rejected:
            self.event("control_rejected", file=file, text="A file that is no request was set aside")
        if asked:
            raise Stopped


def run(path: Path, name: JobName, work: Callable[[Session], str]) -> int:
    """Do the job in this process; returns the exit code. `work` returns how it went, in a sentence.

    Errors become the job's message, with the traceback in worker.log; nothing is raised.
    """
    folder = RunFolder(path.absolute())
    stops = Stops()
    stops.install()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|peft)\.")
    inherited = os.environ.pop(LOCK_VARIABLE, None)
    try:
        with (
            status.hold(folder, name, inherited=int(inherited) if inherited else None),
            Reporter(folder, name) as reporter,
        ):
            reporter.event("start")
            return _end(reporter, Session(reporter, name, stops), work)
    except TuiFtError as error:
        print(f"tui-ft: {error}", file=sys.stderr)
        return int(error.exit_code)


def _end(reporter: Reporter, session: Session, work: Callable[[Session], str]) -> int:
    try:
        message = work(session)
    except Stopped:
        reporter.end("stopped", "stopped on request; nothing half-made was kept")
        return int(ExitCode.DONE)
    # Whatever a library throws has to reach the watchers as a sentence; the log has the rest.
    except Exception as error:
        traceback.print_exc()
        known = explain(error)
        reporter.end("failed", known.what, known.fix)
        return int(known.exit_code)
    reporter.end("finished", message)
    return int(ExitCode.DONE)
