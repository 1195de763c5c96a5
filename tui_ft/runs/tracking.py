"""Sending a run's numbers to trackers: one process per tracker that reads events.jsonl like any viewer.

The file is the queue: a tracker that is slow, broken or unreachable falls behind and catches up, and
never holds up or ends a training. How far each has got is kept, so that a resumed run goes on there.
"""

from __future__ import annotations

import fcntl
import logging
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tui_ft.files import write_atomically
from tui_ft.redact import redact
from tui_ft.runs import status, trackers
from tui_ft.runs.events import Event, EventLog, EventReader
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.trackers import Subject, Tracker
from tui_ft.text import excerpt

_POLL_S = 1.0
_RETRY_S = (5.0, 300.0)  # first and longest wait after a failure
_AFTER_END_S = 300.0  # for what is not sent when the run has ended

_KINDS = {"step": "train", "eval": "eval"}
_LEFT_OUT = frozenset(("t", "step", "best"))

_log = logging.getLogger(__name__)


def start(folder: RunFolder) -> list[int]:
    """Start a process for each tracker of the recipe; returns their ids. They outlive the caller by minutes.

    Raises OSError when the machine refuses, TuiFtError when the recipe cannot be read.
    """
    pid = os.getpid()
    started = []
    for name in folder.read_recipe().track.to:
        with folder.log.open("ab") as log:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "tui_ft.runs.tracking",
                    str(folder.path),
                    name,
                    str(pid),
                    status.process_identity(pid),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder.path,
                start_new_session=True,
            )
        process.returncode = 0  # nobody waits for it
        started.append(process.pid)
    return started


def main(argv: Sequence[str]) -> int:
    """Feed one tracker until the run's process has ended and all is sent. Returns the exit code."""
    path, name, pid, identity = argv
    folder = RunFolder(Path(path))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    place = folder.path / "trackers"
    place.mkdir(exist_ok=True)
    with (place / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # that of an earlier start may still be sending
        Feed(folder, name, int(pid), identity).run()
    return 0


class Feed:
    """The events of one run on their way to one tracker."""

    def __init__(self, folder: RunFolder, name: str, pid: int, identity: str) -> None:
        self._folder = folder
        self._name = name
        self._worker = pid, identity
        self._sent_file = folder.path / "trackers" / f"{name}.sent"
        self._sent = _read_number(self._sent_file)
        self._tracker: Tracker | None = None
        self._told = False
        self._wait_s = _RETRY_S[0]

    def run(self) -> None:
        """Send until the worker is gone and nothing is left."""
        reader = EventReader(self._folder.events)
        waiting: list[Event] = []
        read = 0
        while True:
            ended = status.process_runs(*self._worker) is not True
            if ended:
                threading.Thread(target=self._give_up, daemon=True).start()
            for event in reader.read():
                read += 1
                if read > self._sent:
                    waiting.append(event)
            failed = not self._send(waiting, ended=ended)
            if ended:
                return
            time.sleep(self._wait_s if failed else _POLL_S)

    def _send(self, waiting: list[Event], *, ended: bool) -> bool:
        """Send what waits, oldest first; False when the tracker does not take it now."""
        try:
            if self._tracker is None:
                self._tracker = trackers.open_tracker(self._name, subject(self._folder))
            while waiting:
                event = waiting[0]
                values = numbers(event)
                if values:
                    self._tracker.log(int(event["step"]), values, float(event["t"]))
                del waiting[0]
                self._sent += 1
            write_atomically(self._sent_file, f"{self._sent}\n")
            if ended:
                self._tracker.finish(status.reality(self._folder).state in ("finished", "stopped", "paused"))
        # Whatever a tracker's package throws must not reach the run.
        except Exception as error:
            self._tracker = None
            self._wait_s = min(2 * self._wait_s, _RETRY_S[1])
            self._tell(f"{type(error).__name__}: {error}")
            return False
        self._wait_s = _RETRY_S[0]
        return True

    def _tell(self, why: str) -> None:
        """One alert for all failures; the log has each."""
        name = trackers.name_of(self._name)
        _log.warning("%s: %s", name, redact(why))
        if self._told:
            return
        self._told = True
        what = f"{name} gets no numbers: {excerpt(redact(why), 160)}"
        with EventLog(self._folder.events) as events:
            events.append(
                "alert",
                job="train",
                id="tracker-failed",
                severity="warning",
                what=what,
                action="The training goes on, and so do attempts. Its numbers are in events.jsonl.",
                step=None,
                text=what,
            )

    def _give_up(self) -> None:
        time.sleep(_AFTER_END_S)
        self._tell(f"not everything could be sent within {_AFTER_END_S:.0f} s after the end")
        os._exit(1)


def subject(folder: RunFolder) -> Subject:
    """What a tracker is told of a run: its plan, and of the recipe what says nothing about people."""
    recipe, plan = folder.read_recipe(), folder.read_plan()
    document = recipe.document()
    known = {name: document.get(name, {}) for name in ("model", "data", "evaluate")}
    resolved = plan.to_json()
    config = trackers.flat({**known, "method": resolved["method"], "train": resolved["train"]})
    return Subject(
        folder.id,
        folder.path / "trackers",
        recipe.track,
        {key: redact(value) if isinstance(value, str) else value for key, value in config.items()},
    )


def numbers(event: Mapping[str, object]) -> dict[str, float]:
    """The numbers of an event as trackers get them: `train/loss`, `eval/eval_loss`; {} for other kinds."""
    group = _KINDS.get(str(event.get("kind")))
    if group is None or not isinstance(event.get("step"), int):
        return {}
    found = {
        f"{group}/{key}": float(value)
        for key, value in event.items()
        if key not in _LEFT_OUT and isinstance(value, int | float) and not isinstance(value, bool)
    }
    broken = event.get("nonfinite")
    if isinstance(broken, Mapping):
        found |= {f"{group}/{key}": _float(value) for key, value in broken.items()}
    return found


def _float(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return math.nan


def _read_number(path: Path) -> int:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
