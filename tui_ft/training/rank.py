"""One of the processes of a run on several GPUs, started by torchrun: `… -m tui_ft.training.rank RUN_DIR`.

Rank 0 writes status, events and checkpoints. Every rank says each second that it lives, and ends when the
run's own process is gone. How the run ended badly is for that process to say.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from tui_ft.errors import ExitCode, TuiFtError
from tui_ft.runs import ranks, status
from tui_ft.runs.diagnosis import explain
from tui_ft.runs.events import EventLog
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.ranks import Rank
from tui_ft.runs.reporter import Reporter
from tui_ft.training.gauges import Pulse
from tui_ft.training.several import SUPERVISOR
from tui_ft.training.signals import Stops


def main(argv: Sequence[str]) -> int:
    """Train as one of several; returns the exit code. Nothing is raised."""
    parser = argparse.ArgumentParser(prog="python -m tui_ft.training.rank")
    parser.add_argument("run", type=Path)
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args(argv)
    stops = Stops()
    stops.install()
    number = int(os.environ["RANK"])
    logging.basicConfig(
        level=logging.INFO if number == 0 else logging.WARNING,
        format=f"%(asctime)s rank {number}: %(message)s",
        datefmt="%H:%M:%S",
    )
    folder = RunFolder(args.run)
    with Heart(folder, number) as heart:
        return _run(folder, heart, stops, resume=args.resume)


class Heart:
    """Says every second that this process lives, how far it is, and at last how it ended."""

    def __init__(self, folder: RunFolder, number: int) -> None:
        pid = os.getpid()
        self._folder = folder
        supervisor, _, self._identity = os.environ[SUPERVISOR].partition(" ")
        self.supervisor = int(supervisor)
        device = os.environ.get("LOCAL_RANK", "0")
        seen = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        self._rank = Rank(
            number,
            pid,
            status.process_identity(pid),
            time.monotonic(),
            device=seen[int(device)] if int(device) < len(seen) else "",
        )
        self._guard = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="rank-heartbeat", daemon=True)

    @property
    def leads(self) -> bool:
        """Whether this is rank 0."""
        return self._rank.rank == 0

    def __enter__(self) -> Self:
        self._say()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def mark(self) -> None:
        """The main thread has got on."""
        with self._guard:
            self._rank = replace(self._rank, marks=self._rank.marks + 1, moved=time.monotonic())

    def end(self, code: ExitCode, error: str = "", fix: str = "") -> int:
        """Write down how this process ends; returns the exit code."""
        self._say(ended=int(code), error=error, fix=fix)
        return int(code)

    def _say(self, **values: Any) -> None:
        with self._guard:
            self._rank = replace(self._rank, time=time.monotonic(), **values)
            ranks.write(self._folder, self._rank)

    def _beat(self) -> None:
        while not self._over.wait(ranks.BEAT_S):
            if status.process_runs(self.supervisor, self._identity) is False:
                os._exit(int(ExitCode.RUN_FAILED))  # nobody watches any more, and nobody is left behind
            if self._rank.ended is None:
                try:
                    self._say()
                except TuiFtError as error:
                    print(f"tui-ft: heartbeat: {error}", file=sys.stderr)


def _run(folder: RunFolder, heart: Heart, stops: Stops, *, resume: bool) -> int:
    try:
        from tui_ft.training import together
        from tui_ft.training.job import train

        together.join(heart.mark)
        with _reporter(folder, heart) as reporter:
            ending = train(folder, reporter, stops, resume=resume)
            together.leave()
            reporter.end(ending.state, ending.why)
    # Whatever a library throws has to reach the watchers as a sentence; the log has the rest.
    except Exception as error:
        traceback.print_exc()
        known = explain(error)
        return heart.end(known.exit_code, known.what, known.fix)
    return heart.end(ExitCode.DONE)


def _reporter(folder: RunFolder, heart: Heart) -> Reporter:
    if not heart.leads:
        return Listener(folder, "train")
    reporter = Reporter(folder, "train", pulse=Pulse())
    reporter.update(pid=heart.supervisor, process=status.process_identity(heart.supervisor))
    return reporter


class Listener(Reporter):
    """A reporter that says nothing: what it would say, rank 0 says."""

    def __init__(self, folder: RunFolder, job: Any) -> None:
        super().__init__(folder, job)
        self.events.close()
        self.events = _Silence()

    def _write(self, *, durable: bool = False) -> None:
        """Rank 0 writes the status."""

    def event(self, kind: str, **values: Any) -> None:
        """Rank 0 logs it."""


class _Silence(EventLog):
    def __init__(self) -> None:
        """No file."""

    def append(self, kind: str, **values: Any) -> None:
        """Nothing."""

    def sync(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
