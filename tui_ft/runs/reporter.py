"""What a worker tells its watchers: status, heartbeat, events and how it ended."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, Self

from tui_ft.errors import TuiFtError
from tui_ft.runs import killed, status
from tui_ft.runs.events import EventLog
from tui_ft.runs.folder import Job, RunFolder
from tui_ft.runs.status import HEARTBEAT_S, State, Status

Severity = Literal["info", "warning", "error"]


_log = logging.getLogger(__name__)


class Reporter:
    """Writes status.json and events.jsonl for one job. Safe to use from several threads.

    The status is written when the state changes and with every heartbeat, not with every step: what
    happens between two heartbeats is in the events.
    """

    def __init__(
        self, folder: RunFolder, job: Job, *, pulse: Callable[[Reporter], None] | None = None
    ) -> None:
        """`pulse` is called with every heartbeat, from the heartbeat's thread, e.g. to sample gauges.

        Raises EnvironmentProblem when the disk or folder refuses.
        """
        now = time.time()
        pid = os.getpid()
        self.folder = folder
        self.events = EventLog(folder.events)
        counter = killed.counter()
        self._status = Status(
            "starting",
            job,
            pid,
            status.process_identity(pid),
            now,
            now,
            phase="starting",
            oom_counter=str(counter or ""),
            oom_kills=killed.kills(counter) if counter else None,
        )
        self._guard = threading.Lock()
        self._pulse = pulse
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._write()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self.events.close()

    @property
    def status(self) -> Status:
        """The status as it would be written now."""
        return self._status

    def enter(self, state: State, phase: str, *, total: int | None = None) -> None:
        """Go to another state; `phase` says in words what is done there."""
        self.update(state=state, phase=phase, done=0, total=total)
        self.events.append("phase", job=self._status.job, state=state, phase=phase)
        self._write()

    def update(self, **changes: Any) -> None:
        """Change fields of the status; they are written with the next heartbeat."""
        with self._guard:
            self._status = replace(self._status, **changes)

    def event(self, kind: str, **values: Any) -> None:
        """Append an event. A `text` among the values is news for people; it is logged too."""
        self.events.append(kind, job=self._status.job, **values)
        if values.get("text"):
            _log.info("%s", values["text"])

    def alert(self, id: str, severity: Severity, what: str, action: str, *, step: int | None = None) -> None:  # noqa: A002
        """Append something the user should look at, with one proposed action."""
        self.event("alert", id=id, severity=severity, what=what, action=action, step=step, text=what)

    def end(self, state: State, message: str, fix: str = "") -> None:
        """Say how the job ended. Waits until it is on the disk."""
        self.update(state=state, message=message, fix=fix, phase="")
        self.event("end", state=state, text=message, fix=fix)
        self.events.sync()
        self._write(durable=True)

    def _write(self, *, durable: bool = False) -> None:
        with self._guard:
            self._status = replace(self._status, heartbeat=time.time(), beat=time.monotonic())
            status.write(self.folder, self._status, durable=durable)

    def _beat(self) -> None:
        while not self._done.wait(HEARTBEAT_S):
            try:
                self._write()
                if self._pulse is not None:
                    self._pulse(self)
            except TuiFtError as error:
                # A heartbeat that cannot be written must not end a training; its own writes will tell.
                print(f"tui-ft: heartbeat: {error}", file=sys.stderr)
