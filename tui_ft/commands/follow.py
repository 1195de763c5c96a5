"""Following a run line by line: what `watch`, `--follow`, `demo` and plain mode print."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from tui_ft.commands.output import bell
from tui_ft.errors import RunFailed
from tui_ft.runs.folder import Job, RunFolder
from tui_ft.runs.status import reality
from tui_ft.runs.view import RunView, RunWatcher
from tui_ft.text import duration, size

Say = Callable[[str], None]

_POLL_S = 0.5
_STEP_LINE_EVERY_S = 5.0
_PATIENCE_S = 30.0  # how long a process may take to take its lock


def follow(folder: RunFolder, job: Job, say: Say) -> None:
    """Say what happens until the job's process has ended. KeyboardInterrupt leaves the run alone."""
    watcher = RunWatcher(folder)
    told = _Told(reality(folder, job).status.started or 0.0, steps=job == "train")
    started = time.monotonic()
    while True:
        current = reality(folder, job)
        view = watcher.poll()
        for line in told.news(view):
            say(line)
        if view.bell and told.rings(view):
            bell()
        waiting = current.status.state == "starting" and time.monotonic() - started < _PATIENCE_S
        if not current.alive and not waiting:
            if view.bell:
                bell()
            return
        time.sleep(_POLL_S)


def download_lines(say: Say) -> Callable[[int, int], None]:
    """A progress callback for a download that says now and then how far it is."""
    told_at = 0.0

    def tell(done_bytes: int, total_bytes: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= _STEP_LINE_EVERY_S:
            told_at = time.monotonic()
            say(f"{_clock()}  fetching the weights, {size(done_bytes)} of {size(total_bytes)}")

    return tell


def ended_well(folder: RunFolder, job: Job) -> None:
    """Raises RunFailed, with the reason and the way out, unless the job finished or was stopped."""
    end = reality(folder, job)
    if end.state in ("finished", "stopped", "paused"):
        return
    raise RunFailed(
        end.message or f"the run is {end.state}",
        where=folder.id,
        fix=" ".join(filter(None, [end.status.fix, f"The log is {folder.log}."])),
    )


class _Told:
    """What was said already, so that nothing is said twice, nor anything older than the job."""

    def __init__(self, since: float, *, steps: bool) -> None:
        self._news_until = since
        self._steps = steps
        self._step_at = 0.0
        self._step = 0
        self._last = ""
        self._errors_until = since

    def rings(self, view: RunView) -> bool:
        """Whether an error showed since the last call."""
        errors = [alert.time for alert in view.alerts if alert.severity == "error"]
        known, self._errors_until = self._errors_until, max([self._errors_until, *errors])
        return self._errors_until > known

    def news(self, view: RunView) -> Iterator[str]:
        fresh = [item.text for item in view.news if item.time > self._news_until]
        self._news_until = max([self._news_until, *(item.time for item in view.news)])
        for text in (*fresh, view.phase if view.alive else ""):
            if text and text != self._last:
                self._last = text
                yield f"{_clock()}  {text}"
        now = time.monotonic()
        due = view.step > self._step and now - self._step_at >= _STEP_LINE_EVERY_S
        if self._steps and due and view.loss is not None:
            self._step, self._step_at = view.step, now
            yield f"{_clock()}  {step_line(view)}"


def step_line(view: RunView) -> str:
    """Where a training is, on one line."""
    parts = [f"step {view.step} of {view.steps if view.steps is not None else 'unknown'}"]
    if view.loss is not None:
        parts.append(f"loss {view.loss:.3f}")
    if view.eval_loss is not None:
        parts.append(f"validation {view.eval_loss:.3f}")
    if view.tokens_per_s is not None:
        parts.append(f"{view.tokens_per_s:,.0f} tokens/s")
    if view.eta_s is not None:
        parts.append(f"{duration(view.eta_s[0])} to {duration(view.eta_s[1])} left")
    return " · ".join(parts)


def _clock() -> str:
    return time.strftime("%H:%M:%S")
