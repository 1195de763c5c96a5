"""A training started from a terminal outlives it, and cannot be started twice."""

from __future__ import annotations

import os
import pty
import signal
import sys
import time

import pytest

from tests.training.conftest import Workshop, events, log_of, losses, state_of, wait_for_step, wait_until
from tui_ft.errors import InputError
from tui_ft.runs import launch, status

pytestmark = pytest.mark.train

STARTER = (
    "import sys,time;from pathlib import Path;from tui_ft.runs import launch;"
    "from tui_ft.runs.folder import RunFolder;"
    "launch.start(RunFolder(Path(sys.argv[1])),'train');print('started',flush=True);time.sleep(600)"
)


def test_a_closed_terminal_does_not_end_the_training(workshop: Workshop) -> None:
    """The terminal a run was started from is closed (SIGHUP, a real pty gone), and it is started twice
    more: it trains on to its end, once."""
    run = workshop.run(epochs=12.0, save_every_minutes=60)
    starter, terminal = pty.fork()
    if not starter:
        os.execv(sys.executable, [sys.executable, "-c", STARTER, str(run.path)])
    assert b"started" in os.read(terminal, 100)
    with pytest.raises(InputError, match="already training"):
        launch.start(run, "train")
    wait_for_step(run, 2)
    os.close(terminal)  # the kernel sends SIGHUP to everything in the terminal's session
    assert os.WTERMSIG(os.waitpid(starter, 0)[1]) == signal.SIGHUP
    closed_at = time.time()
    with pytest.raises(InputError, match="already training"):
        launch.start(run, "train")
    wait_until(lambda: not status.alive(run), run)
    assert state_of(run) == "finished", log_of(run)
    assert len(losses(run)) == 144
    assert events(run, "step")[-1]["t"] > closed_at
    with pytest.raises(InputError, match="this run is finished"):
        launch.start(run, "train")
