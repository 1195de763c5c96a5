"""What follows a training: `python -m tui_ft.runs.finish RUN_DIR PID IDENTITY`.

A small process of its own that waits for the worker to be gone, by whatever way, and then tells people,
runs the recipe's command and, when that is asked for, ends the box. It begins when the worker's memory
and lock are free, so the command may evaluate or export the run. Nothing that fails here is more than an
alert.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tui_ft.errors import TuiFtError
from tui_ft.recipe import Recipe
from tui_ft.runs import control, copies, countdown, status
from tui_ft.runs.countdown import Countdown
from tui_ft.runs.events import EventLog, EventReader, is_kind
from tui_ft.runs.folder import RunFolder, list_runs
from tui_ft.runs.notices import Notice, NoticeFailed, notices, send
from tui_ft.runs.status import State
from tui_ft.runs.view import RunView, view
from tui_ft.settings import Home
from tui_ft.text import duration

_POLL_S = 0.2
_ENDS: frozenset[State] = frozenset(("finished", "failed", "stopped", "lost"))

Unsafe = Callable[[RunFolder], str]
"""Why the box must not be ended yet, in words; "" when everything of the run is safe elsewhere."""

_log = logging.getLogger(__name__)


def wanted(recipe: Recipe) -> bool:
    """Whether anything is to follow a training with this recipe."""
    limits, notify = recipe.limits, recipe.notify
    return bool(limits.on_finish or limits.shutdown_command or notify.webhook or notify.ntfy)


def watch_over(folder: RunFolder) -> int | None:
    """Start the process that waits for this one to end; returns its id, None when nothing is to follow.

    Called by the worker, once, from the process whose end counts.
    """
    if not wanted(folder.read_recipe()):
        return None
    pid = os.getpid()
    with folder.log.open("ab") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "tui_ft.runs.finish",
                str(folder.path),
                str(pid),
                status.process_identity(pid),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder.path,
            start_new_session=True,
        )
    # It outlives this process, which therefore never waits for it.
    process.returncode = 0
    return process.pid


def main(argv: Sequence[str]) -> int:
    """Wait, then do what the recipe asks for. Returns the exit code."""
    path, pid, identity = argv
    folder = RunFolder(Path(path))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    _wait_for_end(int(pid), identity)
    found = view(folder)
    # A pause that nobody asked for, on a full disk, says what to do about it.
    stuck = found.state == "paused" and bool(found.fix)
    if found.alive or not (stuck or found.state in _ENDS):
        return 0  # paused on request, or another process has gone on with it already
    recipe = folder.read_recipe()
    with EventLog(folder.events) as events:
        after = After(folder, recipe, found, events)
        after.notify()
        if not stuck:
            after.run_command()
            after.end_box()
    return 0


def others_at_work(folder: RunFolder) -> list[str]:
    """Runs of the same home at which a process works or which wait for their turn, this one included."""
    home = Home(folder.path.parent.parent)
    waiting: tuple[State, ...] = ("queued",)
    return [
        run.id
        for run in list_runs(home)
        if status.alive(run)
        or (status.read(run) is not None and status.reality(run).state in waiting and run != folder)
    ]


class After:
    """One end of one run, and what follows it."""

    def __init__(
        self,
        folder: RunFolder,
        recipe: Recipe,
        found: RunView,
        events: EventLog,
        unsafe: Unsafe = copies.unsafe,
    ) -> None:
        self._folder = folder
        self._limits = recipe.limits
        self._notify = recipe.notify
        self._found = found
        self._events = events
        self._unsafe = unsafe

    def notify(self) -> None:
        """Tell the webhook and the ntfy topic."""
        try:
            for notice in notices(self._notify, self._found):
                self._send(notice)
        except NoticeFailed as error:
            self._alert("notice-failed", error.what, error.fix)

    def _send(self, notice: Notice) -> None:
        try:
            send(notice)
        except NoticeFailed as error:
            self._alert("notice-failed", error.what, error.fix)
        else:
            self._event("notice", to=notice.to, text=f"Told {notice.to}")

    def run_command(self) -> None:
        """Run `limits.on_finish` in a shell, with its output in worker.log."""
        command = self._limits.on_finish
        if not command:
            return
        began = time.monotonic()
        environment = {
            **os.environ,
            "TUI_FT_RUN": self._folder.id,
            "TUI_FT_STATE": self._found.state,
            "TUI_FT_DIR": str(self._folder.path),
            "TUI_FT_MESSAGE": self._found.message,
        }
        problem, code = _run(command, self._folder, environment, self._limits.on_finish_timeout_s)
        seconds = round(time.monotonic() - began, 3)
        self._event("on_finish", exit_code=code, seconds=seconds)
        if problem:
            self._alert("on-finish-failed", f"limits.on_finish {problem}.", f"Look at {self._folder.log}.")

    def end_box(self) -> None:
        """Count down, then run `limits.shutdown_command`, unless something speaks against it."""
        command = self._limits.shutdown_command
        if not command or (self._found.state == "stopped" and not _by_limit(self._folder)):
            return  # somebody who stops a run by hand is there
        against = self._against()
        if not against:
            against = self._count_down()
        if against:
            self._alert("box-not-ended", f"The box was not ended: {against}.", "End it yourself when done.")
            return
        self._event("box_ended", text="The box is ended now")
        self._events.sync()
        problem, _ = _run(command, self._folder, dict(os.environ), 60.0)
        if problem:
            self._alert(
                "box-not-ended",
                f"limits.shutdown_command {problem}; the box still costs money.",
                "End the box with its provider.",
            )

    def _against(self) -> str:
        others = others_at_work(self._folder)
        return f"{', '.join(others)} still needs it" if others else self._unsafe(self._folder)

    def _count_down(self) -> str:
        """Wait; returns what spoke against it in the meantime, "" when nothing did."""
        seconds = self._limits.shutdown_after_s
        pid = os.getpid()
        Countdown(time.time() + seconds, pid, status.process_identity(pid)).write(self._folder)
        self._event(
            "countdown",
            seconds=seconds,
            text=f"The box is ended in {duration(seconds)}; `tui-ft stop {self._folder.id}` calls it off",
        )
        until = time.monotonic() + seconds
        try:
            while time.monotonic() < until:
                for request in control.take(self._folder).requests:
                    if request.name == "stop":
                        self._event(
                            "control", id=request.id, request="stop", box=True, text="The box stays on"
                        )
                        return "somebody called it off"
                time.sleep(_POLL_S)
        finally:
            countdown.clear(self._folder)
        return self._against()

    def _event(self, kind: str, **values: object) -> None:
        with contextlib.suppress(TuiFtError):  # a full disk must not keep the box running
            self._events.append(kind, job="train", **values)
        _log.info("%s", values.get("text") or kind)

    def _alert(self, alert: str, what: str, action: str) -> None:
        self._event("alert", id=alert, severity="error", what=what, action=action, step=None, text=what)


def _run(
    command: str, folder: RunFolder, environment: dict[str, str], timeout_s: float
) -> tuple[str, int | None]:
    """Run a command of the user's; returns what went wrong, "" for nothing, and its exit code."""
    try:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            cwd=folder.path,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        return f"could not be started: {error.strerror}", None
    try:
        code = process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        # The whole session: a shell's children would go on without it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"took longer than {duration(timeout_s)} and was ended", None
    return (f"ended with exit code {code}" if code else ""), code


def _by_limit(folder: RunFolder) -> bool:
    """Whether the last attempt was stopped by a limit of its recipe."""
    reader = EventReader(folder.events)
    hit = False
    for line in reader.lines():
        if is_kind(line, b"start"):
            hit = False
        hit = hit or is_kind(line, b"limit")
    return hit


def _wait_for_end(pid: int, identity: str) -> None:
    """Return when this very process is gone."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:  # gone already, or a kernel without
        while status.process_runs(pid, identity):
            time.sleep(_POLL_S)
        return
    try:
        # The number may belong to another process by now.
        if status.process_runs(pid, identity) is not False:
            select.select([handle], [], [])
    finally:
        os.close(handle)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
