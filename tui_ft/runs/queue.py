"""Runs one after another: `python -m tui_ft.runs.queue RUN_DIR RUN_DIR …`.

The folders are made beforehand, each with a status that says it waits and for which process. That is all
there is to the queue: a run leaves it when its status changes, and a queue that died is seen by the same
proof as a worker that died. A run that fails does not hold up the next.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tui_ft.errors import InputError, TuiFtError
from tui_ft.files import disk_problem
from tui_ft.runs import launch, status
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.status import Status
from tui_ft.settings import Home
from tui_ft.text import count

MODULE = "tui_ft.runs.queue"

_POLL_S = 0.5

_log = logging.getLogger(__name__)


def start(folders: Sequence[RunFolder], home: Home) -> int:
    """Train these runs one after another in the background; returns the id of the process that does it.

    Raises EnvironmentProblem when the machine refuses.
    """
    log = home.root / "queue.log"
    try:
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", MODULE, *(str(folder.path) for folder in folders)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=home.root,
                start_new_session=True,
            )
    except OSError as error:
        raise disk_problem(error, log) from error
    for place, folder in enumerate(folders):
        _wait_for(folder, place, process.pid)
    threading.Thread(target=process.wait, name=f"reap-{process.pid}", daemon=True).start()
    return process.pid


def cancel(folder: RunFolder) -> bool:
    """Take a run out of its queue; False when it is in none (any more).

    Raises InputError when its turn has just come.
    """
    if not waits(folder):
        return False
    with closing(_Lock(folder)):
        if not waits(folder):
            raise InputError(
                "its turn has just come", where=folder.id, fix=f"`tui-ft stop {folder.id}` again ends it."
            )
        status.write(folder, Status("stopped", message="taken out of the queue"), durable=True)
    return True


def waits(folder: RunFolder) -> bool:
    """Whether the run waits for its turn."""
    found = status.read(folder)
    return found is not None and found.state == "queued" and bool(found.process)


def main(argv: Sequence[str]) -> int:
    """Train each run in turn; returns the exit code."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
    folders = [RunFolder(Path(path)) for path in argv]
    for ahead, folder in enumerate(folders):
        _wait_for(folder, ahead, os.getpid())
    for place, folder in enumerate(folders):
        for ahead, waiting in enumerate([later for later in folders[place:] if waits(later)]):
            _wait_for(waiting, ahead, os.getpid())
        if not waits(folder):
            _log.info("%s was taken out", folder.id)
            continue
        _train(folder)
    return 0


def _train(folder: RunFolder) -> None:
    """Train one run to its end, whatever that is."""
    try:
        pid = launch.start(folder, "train")
    except TuiFtError as error:
        _log.error("%s: %s", folder.id, error)
        status.write(folder, Status("failed", message=error.what, fix=error.fix), durable=True)
        return
    _log.info("%s: process %d", folder.id, pid)
    while status.alive(folder):
        time.sleep(_POLL_S)
    _log.info("%s: %s", folder.id, status.reality(folder).state)


def _wait_for(folder: RunFolder, ahead: int, pid: int) -> None:
    """Say in the run's status that it waits for this process, unless it is out of the queue already."""
    try:
        with closing(_Lock(folder)):
            found = status.read(folder)
            if found is not None and not waits(folder):
                return
            status.write(
                folder,
                Status(
                    "queued",
                    pid=pid,
                    process=status.process_identity(pid),
                    phase=f"waiting, {count(ahead, 'run')} before it" if ahead else "next in the queue",
                    total=ahead,
                ),
            )
    except InputError:
        return  # a process works in it: it is out of the queue


class _Lock:
    """The run's lock, so that nothing starts while its status is looked at and written."""

    def __init__(self, folder: RunFolder) -> None:
        self._handle = status.take_lock(folder, "train")

    def close(self) -> None:
        os.close(self._handle)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
