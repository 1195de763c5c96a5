"""Ended from outside."""

from __future__ import annotations

import os
import random
import signal
import time

import psutil
import pytest

from tests.faults.conftest import EVERY_STEP, SETTINGS, STEPS, assert_same, suffer
from tests.training.conftest import Workshop, events, log_of, state_of, wait_for_step, wait_until
from tui_ft.runs import checkpoints, status
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.view import view

pytestmark = pytest.mark.train

CYCLES = 100


def test_kill_at_random_instants(workshop: Workshop, whole: RunFolder) -> None:
    """`kill -9` at four random instants: the run goes on each time, at most one save behind, bit for
    bit."""
    run = workshop.run(**SETTINGS, save_every_minutes=EVERY_STEP)
    chance = random.Random(1)
    for step in (2, 7, 13, 20):
        pid = workshop.start(run, *(["--resume"] if checkpoints.listed(run) else []))
        wait_for_step(run, step)
        time.sleep(chance.random() * 0.05)  # anywhere between two steps
        os.kill(pid, signal.SIGKILL)
        assert workshop.wait(pid) == -signal.SIGKILL
        assert state_of(run) == "lost"
        assert f"tui-ft resume {run.id}" in view(run).fix
    assert workshop.train(run, "--resume") == 0, log_of(run)
    resumed = [event["resumed_from"] for event in events(run, "start")]
    assert resumed[0] is None
    assert all(found >= step - 1 for found, step in zip(resumed[1:], (2, 7, 13, 20), strict=True))
    assert_same(run, whole)


def test_kill_inside_a_save(workshop: Workshop, whole: RunFolder) -> None:
    """`kill -9` at seven places inside a save and while the result is copied: the run goes on from a whole
    checkpoint, bit for bit."""
    places = (
        ("before the weights", 3),
        ("half the weights", 5),
        ("before the random states", 7),
        ("while hashing", 9),
        ("before the manifest", 11),
        ("before the old one is removed", 14),
        ("while the old one is removed", 17),
    )
    run = workshop.run(**SETTINGS, save_every_minutes=EVERY_STEP)
    for place, step in places:
        resume = ["--resume"] if checkpoints.listed(run) else []
        code = suffer(workshop, run, *resume, faults=[["death_in_save", step, place]])
        assert code == -signal.SIGKILL, place
        newest = checkpoints.find_newest(run)
        assert newest.torn == ()
        assert newest.newest is not None
        # Once it has its name, a checkpoint counts.
        assert newest.newest.step == (step if "old one" in place else step - 1), place
    assert suffer(workshop, run, "--resume", faults=[["death_in_result", 0]]) == -signal.SIGKILL
    assert not run.adapter.exists()
    assert workshop.train(run, "--resume") == 0, log_of(run)
    assert_same(run, whole)


def test_kill_while_the_same_step_is_saved_again(workshop: Workshop, whole: RunFolder) -> None:
    """`kill -9` while the only checkpoint's step is saved once more: the first copy stays, bit for bit."""
    run = workshop.run(**SETTINGS)
    cut_off = ["signalled", "evaluation", 5, signal.SIGTERM]
    assert suffer(workshop, run, faults=[cut_off]) == 0, log_of(run)
    assert [found.step for found in checkpoints.listed(run)] == [5]
    # The evaluation is made up for at resume; there the same happens again, and then worse.
    worse = ["death_in_save", 5, "while the same step is there already"]
    assert suffer(workshop, run, "--resume", faults=[cut_off, worse]) == -signal.SIGKILL
    assert [found.step for found in checkpoints.listed(run)] == [5]
    assert workshop.train(run, "--resume") == 0, log_of(run)
    assert_same(run, whole)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_between_steps(workshop: Workshop, whole: RunFolder, number: signal.Signals) -> None:
    """SIGTERM (a spot machine is taken away) or SIGINT: saved at the next step and stopped; goes on
    exactly."""
    run = workshop.run(**SETTINGS)
    pid = workshop.start(run)
    wait_for_step(run, 7)
    os.kill(pid, number)
    assert workshop.wait(pid) == 0, log_of(run)
    found = view(run)
    assert (found.state, found.message) == (
        "stopped",
        f"stopped by {number.name}; saved at step {found.step}",
    )
    assert checkpoints.listed(run)[-1].step == found.step
    assert workshop.train(run, "--resume") == 0, log_of(run)
    assert_same(run, whole)


def test_signal_inside_a_save(workshop: Workshop, whole: RunFolder) -> None:
    """SIGTERM inside a save: that save is finished, the run stops and goes on exactly."""
    run = workshop.run(**SETTINGS)
    assert suffer(workshop, run, faults=[["signalled", "save", 5, signal.SIGTERM]]) == 0, log_of(run)
    found = view(run)
    assert found.state == "stopped"
    assert checkpoints.find_newest(run).torn == ()
    assert checkpoints.listed(run)[-1].step == found.step == 6
    assert workshop.train(run, "--resume") == 0, log_of(run)
    assert_same(run, whole)


def test_process_frozen(workshop: Workshop, whole: RunFolder) -> None:
    """SIGSTOP (a frozen container): shown as alive without a heartbeat; goes on exactly when thawed."""
    run = workshop.run(**SETTINGS)
    pid = workshop.start(run)
    wait_for_step(run, 4)
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, run)
    later = time.time() + status.SILENT_AFTER_S + 10
    found = status.reality(run, now=later)
    assert found.alive
    assert found.state in status.WORKING
    assert found.message.startswith("no heartbeat for ")
    os.kill(pid, signal.SIGCONT)
    assert workshop.wait(pid) == 0, log_of(run)
    assert status.reality(run).message == view(run).message
    assert_same(run, whole)


@pytest.mark.slow
def test_a_hundred_kills(workshop: Workshop, whole: RunFolder) -> None:
    """A hundred runs killed with `kill -9` at random instants and resumed: a hundred times the same
    bits."""
    chance = random.Random(20)
    began = time.monotonic()
    assert workshop.train(workshop.run(**SETTINGS, save_every_minutes=EVERY_STEP)) == 0
    length = time.monotonic() - began
    for cycle in range(CYCLES):
        run = workshop.run(name=f"cycle-{cycle}", **SETTINGS, save_every_minutes=EVERY_STEP)
        pid = workshop.start(run)
        time.sleep(chance.random() * length)
        os.kill(pid, signal.SIGKILL)
        workshop.wait(pid)
        if state_of(run) != "finished":
            resume = ["--resume"] if checkpoints.listed(run) else []
            assert workshop.train(run, *resume) == 0, log_of(run)
        assert_same(run, whole)
        assert view(run).step == STEPS
