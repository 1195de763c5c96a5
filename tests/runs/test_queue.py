"""Runs one after another, with small real processes in place of trainings."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.sample_plan import RECIPE, make_plan
from tui_ft import recipe as recipes
from tui_ft.commands.runs import _row
from tui_ft.errors import InputError
from tui_ft.runs import folder as folders
from tui_ft.runs import launch, queue, status
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.view import view
from tui_ft.settings import Home

# Stands in for tui_ft.training.worker, which `python -P -m` finds here first.
WORKER = """
import os, sys, time
from pathlib import Path
from tui_ft.runs import status
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.launch import LOCK_VARIABLE
from tui_ft.runs.reporter import Reporter
folder = RunFolder(Path(sys.argv[1]))
lock = int(os.environ.pop(LOCK_VARIABLE))
with status.hold(folder, "train", inherited=lock), Reporter(folder, "train") as r:
    r.enter("training", "training")
    while not Path("end").exists():
        time.sleep(0.01)
    r.end("failed" if Path("end").read_text() else "finished", "")
"""
QUEUE = """
import sys
from tui_ft.runs import launch, queue
launch.WORKERS = {"train": "small_worker"}
sys.exit(queue.main(sys.argv[1:]))
"""


@pytest.fixture
def runs(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[RunFolder]]:
    """Three runs whose workers wait for a file called `end`."""
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "small_worker.py").write_text(WORKER)
    (modules / "small_queue.py").write_text(QUEUE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(modules), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr(launch, "WORKERS", {"train": "small_worker"})
    monkeypatch.setattr(queue, "MODULE", "small_queue")
    made = [
        folders.create(home, recipes.loads(RECIPE), make_plan(), recipe_text=RECIPE, recipe_base=tmp_path)
        for _ in range(3)
    ]
    yield made
    for run in made:
        (run.path / "end").touch()
    wait_until(lambda: not any(status.alive(run) for run in made))


def wait_until(done: Callable[[], object]) -> None:
    """Poll until `done()`."""
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def states(runs: list[RunFolder]) -> list[str]:
    """The states a reader sees."""
    return [status.reality(run).state for run in runs]


def test_one_after_another_and_on_after_a_failure(runs: list[RunFolder], home: Home) -> None:
    pid = queue.start(runs, home)
    wait_until(lambda: states(runs) == ["training", "queued", "queued"])
    assert os.getsid(pid) == pid
    waiting = [view(run) for run in runs]
    assert [found.ahead for found in waiting] == [None, 1, 2]
    assert [_row(found)[1] for found in waiting] == ["training", "queued, 1 before it", "queued, 2 before it"]
    assert waiting[2].phase == "waiting, 2 runs before it"
    (runs[0].path / "end").write_text("badly")
    wait_until(lambda: states(runs) == ["failed", "training", "queued"])
    assert view(runs[2]).ahead == 1
    (runs[1].path / "end").touch()
    wait_until(lambda: states(runs) == ["failed", "finished", "training"])
    (runs[2].path / "end").touch()
    wait_until(lambda: states(runs) == ["failed", "finished", "finished"])


def test_a_run_can_be_taken_out(runs: list[RunFolder], home: Home) -> None:
    queue.start(runs, home)
    wait_until(lambda: states(runs)[0] == "training")
    assert not queue.cancel(runs[0])
    assert queue.cancel(runs[1])
    assert states(runs)[1] == "stopped"
    assert view(runs[1]).message == "taken out of the queue"
    (runs[0].path / "end").touch()
    wait_until(lambda: states(runs) == ["finished", "stopped", "training"])


def test_a_queue_that_died_loses_no_run(runs: list[RunFolder], home: Home) -> None:
    pid = queue.start(runs, home)
    wait_until(lambda: states(runs)[0] == "training")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: states(runs) == ["training", "lost", "lost"])
    found = view(runs[1])
    assert found.message == "the queue ended before its turn came"
    assert found.fix == f"`tui-ft resume {runs[1].id}` starts it now."
    launch.resume(runs[1])
    wait_until(lambda: states(runs) == ["training", "training", "lost"])


def test_a_run_that_waits_can_be_started_at_once(runs: list[RunFolder], home: Home) -> None:
    queue.start(runs, home)
    wait_until(lambda: states(runs)[0] == "training")
    launch.resume(runs[2])
    wait_until(lambda: states(runs) == ["training", "queued", "training"])
    (runs[2].path / "end").touch()
    (runs[0].path / "end").touch()
    wait_until(lambda: states(runs) == ["finished", "training", "finished"])


def test_a_run_that_cannot_start_does_not_hold_up_the_next(runs: list[RunFolder], home: Home) -> None:
    runs[0].plan.write_text("{")
    queue.start(runs, home)
    wait_until(lambda: states(runs) == ["failed", "training", "queued"])
    assert "plan.json cannot be read" in view(runs[0]).message


def test_what_is_at_work_is_not_taken_out(runs: list[RunFolder]) -> None:
    with status.hold(runs[0], "train"):
        assert not queue.cancel(runs[0])
    pid = os.getpid()
    status.write(runs[0], status.Status("queued", pid=pid, process=status.process_identity(pid)))
    with status.hold(runs[0], "train"), pytest.raises(InputError):
        queue.cancel(runs[0])
