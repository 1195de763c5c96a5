"""A run trained once more gives the same curve, and what is not as it was is said before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.training.conftest import Workshop, losses
from tui_ft.errors import InputError
from tui_ft.files import write_json
from tui_ft.runs import changes
from tui_ft.runs.changes import Change
from tui_ft.runs.events import EventLog
from tui_ft.runs.folder import RunFolder
from tui_ft.training import reproduce
from tui_ft.training.reproduce import Curves, compare


@pytest.fixture(scope="module")
def finished(workshop: Workshop) -> RunFolder:
    """A run that has ended, with a learning rate that was changed in it."""
    run = workshop.run(name="first", epochs=2.0)
    changes.append(run, Change(3, {"train.learning_rate": 5e-3}))
    assert workshop.train(run) == 0
    return run


@pytest.mark.train
def test_the_same_again_is_identical(workshop: Workshop, finished: RunFolder) -> None:
    assert reproduce.ingredients(finished, finished.read_plan().device_name) == ()
    again = reproduce.again(workshop.home, finished)
    assert again.id != finished.id
    assert workshop.train(again) == 0
    found = compare(reproduce.curves(finished), reproduce.curves(again))
    assert found.verdict == "identical", found.words
    assert (found.steps, found.train, found.validation) == (len(losses(finished)), 0.0, 0.0)
    assert found.evaluations > 0
    assert reproduce.document(again, finished, found)["verdict"] == "identical"


@pytest.mark.train
def test_another_seed_is_another_curve_and_another_base_is_named(
    workshop: Workshop, finished: RunFolder
) -> None:
    other = reproduce.again(workshop.home, finished)
    plan = other.read_plan()
    write_json(other.plan, replace(plan, train=replace(plan.train, seed=7)).to_json())
    assert workshop.train(other) == 0
    found = compare(reproduce.curves(finished), reproduce.curves(other))
    assert (found.verdict, found.differs_from) == ("differs", 1)
    lock = finished.lock.read_text()
    try:
        finished.lock.write_text(lock.replace('torch = "', 'torch = "0.'))
        told = {one.key: one for one in reproduce.ingredients(finished, "Another GPU")}
    finally:
        finished.lock.write_text(lock)
    assert told.keys() == {"torch", "device"}
    assert told["torch"].then.startswith("0.")
    assert told["device"].now == "Another GPU"


@pytest.mark.slow
@pytest.mark.train
def test_the_command_compares_the_first_steps_only(workshop: Workshop, finished: RunFolder) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tui_ft", "reproduce", finished.id, "--anyway", "--steps", "2", "--json"],
        env={**os.environ, "TUI_FT_HOME": str(workshop.home.root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=180,
    )
    said = json.loads(done.stdout)
    assert (said["verdict"], said["steps"]) == ("identical", 2), done.stderr
    assert done.returncode == 0


def test_rounding_and_a_difference_are_told_apart() -> None:
    then = Curves({1: 2.0, 2: 1.5, 3: 1.0}, {3: 1.1})
    assert compare(then, then).verdict == "identical"
    near = compare(then, Curves({1: 2.0, 2: 1.5001, 3: 1.0}, {3: 1.1}))
    assert (near.verdict, near.train_at) == ("rounding", 2)
    assert near.train == pytest.approx(1e-4)
    far = compare(then, Curves({1: 2.0, 2: 1.5, 3: 1.2}, {3: 1.1}))
    assert (far.verdict, far.differs_from) == ("differs", 3)
    assert far.words.startswith("differs from step 3 on")
    assert compare(then, Curves({1: 2.0, 2: 1.5, 3: 1.2}, {3: 1.1}), steps=2).verdict == "identical"
    short = compare(then, Curves({1: 2.0}, {}))
    assert (short.verdict, short.differs_from) == ("differs", 2)
    assert compare(then, Curves({}, {})).verdict == "differs"


def test_steps_that_were_done_again_count_once(workshop: Workshop) -> None:
    run = workshop.run(name="resumed")
    with EventLog(run.events) as events:
        events.append("start", job="train", resumed_from=None)
        for step, loss in ((1, 3.0), (2, 2.0), (3, 9.0)):
            events.append("step", step=step, loss=loss)
        events.append("start", job="train", resumed_from=2)
        events.append("step", step=3, loss=1.0)
    assert reproduce.curves(run).train == {1: 3.0, 2: 2.0, 3: 1.0}


def test_without_a_lock_nothing_is_known(workshop: Workshop) -> None:
    with pytest.raises(InputError, match="unknown what this run was trained with"):
        reproduce.ingredients(workshop.run(name="bare"), "CPU")
