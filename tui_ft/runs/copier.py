"""Copies a run off this box while it trains: `python -m tui_ft.runs.copier RUN_DIR`.

A process of its own at the lowest priority. It only reads what is sealed, so nothing it does or fails to
do can hold up the training: a target that hangs hangs this process alone. Failures are tried again after
longer and longer pauses, and told once.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tui_ft.errors import TuiFtError
from tui_ft.runs import checkpoints, copies, status
from tui_ft.runs.copy_targets import CopyFailed, Item, Target, Vanished, target
from tui_ft.runs.events import EventLog
from tui_ft.runs.folder import RunFolder
from tui_ft.text import duration, size

_POLL_S = 1.0
_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 600.0
_LAST_TRIES = 6  # in a row, once the training has ended
_TAKE_OVER_S = 1.5  # in which an earlier copier may come to its end
# What another box needs besides a checkpoint to go on.
PAPERS = ("recipe.toml", "plan.json", "lock.toml", "changes.jsonl", "amendments.jsonl")

_log = logging.getLogger(__name__)


def begin(folder: RunFolder) -> int | None:
    """Start the copier of this run in the background; None when its recipe asks for no copies.

    A run has one copier; a second one leaves at once. Raises OSError when it cannot be started.
    """
    if not folder.read_recipe().copies.to:
        return None
    # The worker is kept away from the hub; the copier is not.
    environment = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"}
    with folder.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tui_ft.runs.copier", str(folder.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder.path,
            env=environment,
            start_new_session=True,
        )
    process.returncode = 0  # it may outlive this process, which never waits for it
    return process.pid


def main(argv: Sequence[str]) -> int:
    """Copy until the training has ended and everything is off this box, or cannot be brought there."""
    folder = RunFolder(Path(argv[0]).absolute())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s copies: %(message)s", datefmt="%H:%M:%S")
    _step_aside()
    handle = _take_lock(folder)
    if handle is None:
        return 0
    try:
        with EventLog(folder.events) as events:
            Copier(folder, [target(to) for to in folder.read_recipe().copies.to], events).run()
    except TuiFtError as error:
        print(f"tui-ft: copies: {error}", file=sys.stderr)
        return int(error.exit_code)
    finally:
        os.close(handle)
    return 0


@dataclass(slots=True)
class _Attempts:
    """Failures in a row at one target."""

    failed: int = 0
    next_try: float = 0.0
    given_up: bool = False
    put: set[str] = field(default_factory=set)


class Copier:
    """The copies of one run to its targets."""

    def __init__(
        self,
        folder: RunFolder,
        targets: Sequence[Target],
        events: EventLog,
        *,
        pause_s: float = _PAUSE_S,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        """`pause_s` is the pause after a first failure; it doubles. `wait` is called between two rounds."""
        self._folder = folder
        self._targets = {one.to: one for one in targets}
        self._events = events
        self._pause_s = pause_s
        self._wait = wait
        self._attempts = {to: _Attempts() for to in self._targets}
        self._state = {one.to: one for one in copies.known(folder, list(self._targets))}

    def run(self) -> None:
        """Rounds over all targets, until there is nothing left to do and nobody who makes more."""
        while True:
            trains = status.alive(self._folder)
            for to in self._targets:
                self._serve(to, last=not trains)
            if not trains and not any(self._wants(to) for to in self._targets):
                break
            self._wait(min(_POLL_S, self._pause_s))
        self._sum_up()

    def _wants(self, to: str) -> bool:
        return not self._attempts[to].given_up and bool(copies.lacking(self._folder, [self._state[to]]))

    def _serve(self, to: str, *, last: bool) -> None:
        attempts = self._attempts[to]
        if time.monotonic() < attempts.next_try or not self._wants(to):
            return
        try:
            self._bring(to)
        except Vanished:
            return  # a newer one has taken its place; the next round sees it
        except TuiFtError as error:
            self._failed(to, error, last=last)
        else:
            attempts.failed, attempts.next_try = 0, 0.0

    def _bring(self, to: str) -> None:
        """What the run needs to go on elsewhere, its newest and its best checkpoint, and its result."""
        folder, place = self._folder, self._targets[to]
        if "data" not in self._attempts[to].put and folder.data.is_dir():
            place.put(folder, Item.of(folder, "data"))
            self._attempts[to].put.add("data")
        saved = checkpoints.listed(folder)
        found = status.read(folder)
        best = found.best_step if found else None
        steps = {one.step for one in saved if one.step == best} | {one.step for one in saved[-1:]}
        for step in sorted(steps - set(self._state[to].steps)):
            item = Item.checkpoint(folder, step)
            began = time.monotonic()
            place.put(folder, item)
            self._note(to, steps=(*self._state[to].steps, step))
            self._tell(to, f"step {step:,}", item, time.monotonic() - began, step)
        made = copies.result(folder)
        if made is not None:
            made_ns = made.stat().st_mtime_ns
            if self._state[to].result_ns != made_ns:
                item = Item.of(folder, made.name)
                began = time.monotonic()
                place.put(folder, item)
                self._note(to, result_ns=made_ns)
                self._tell(to, f"the {made.name}", item, time.monotonic() - began, None)
        place.put(folder, Item.of(folder, "", [name for name in PAPERS if (folder.path / name).is_file()]))
        self._tidy(to, steps)
        # Said last: everything that belongs to the newest checkpoint is there now.
        self._note(to, step=saved[-1].step if saved else None)

    def _tidy(self, to: str, wanted: set[int]) -> None:
        """Take away checkpoints there that the run itself has given up."""
        here = {one.step for one in checkpoints.listed(self._folder)} | wanted
        for step in set(self._state[to].steps) - here:
            with contextlib.suppress(CopyFailed):  # one too many is no harm
                self._targets[to].remove(self._folder, f"checkpoints/step-{step}")
                self._note(to, steps=tuple(one for one in self._state[to].steps if one != step))

    def _note(self, to: str, **changes: object) -> None:
        self._state[to] = replace(
            self._state[to],
            verified=round(time.time(), 3),
            problem="",
            **changes,  # type: ignore[arg-type]
        )
        self._write()

    def _write(self) -> None:
        with contextlib.suppress(TuiFtError):  # a full disk here must not stop copies from leaving it
            copies.write(self._folder, list(self._state.values()))

    def _tell(self, to: str, what: str, item: Item, seconds: float, step: int | None) -> None:
        text = f"Copied {what} to {to} in {duration(seconds)}: {size(item.size_bytes)}, verified"
        self._event("copied", to=to, step=step, bytes=item.size_bytes, seconds=round(seconds, 3), text=text)

    def _failed(self, to: str, error: TuiFtError, *, last: bool) -> None:
        attempts = self._attempts[to]
        attempts.failed += 1
        attempts.next_try = time.monotonic() + min(
            _LONGEST_PAUSE_S, self._pause_s * 2 ** (attempts.failed - 1)
        )
        attempts.given_up = last and attempts.failed >= _LAST_TRIES
        self._state[to] = replace(self._state[to], problem=error.what)
        self._write()
        if attempts.failed == 1:
            self._alert(
                "copy-failed",
                "warning",
                f"Copying to {to} does not work: {error.what}",
                f"{error.fix} It is tried again by itself.".strip(),
            )

    def _sum_up(self) -> None:
        left = copies.lacking(self._folder, list(self._state.values()))
        if left:
            self._alert(
                "not-copied",
                "error",
                f"Not off this box: {'; '.join(left)}",
                f"Keep this box until `tui-ft copy {self._folder.id}` has worked.",
            )
        else:
            where = ", ".join(self._targets)
            self._event("copied_all", text=f"Everything of this run is off this box: {where}")

    def _event(self, kind: str, **values: object) -> None:
        with contextlib.suppress(TuiFtError):
            self._events.append(kind, job="train", **values)
        _log.info("%s", values.get("text") or kind)

    def _alert(self, alert: str, severity: str, what: str, action: str) -> None:
        self._event("alert", id=alert, severity=severity, what=what, action=action, step=None, text=what)


def _step_aside() -> None:
    """The lowest priority there is, for processor and disk."""
    os.nice(19)
    with contextlib.suppress(Exception):  # some containers forbid it; niceness is enough
        import psutil

        psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)


def _take_lock(folder: RunFolder) -> int | None:
    handle = os.open(copies.lock(folder), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + _TAKE_OVER_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > until:
                os.close(handle)
                return None
            time.sleep(0.1)
        else:
            return handle


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
