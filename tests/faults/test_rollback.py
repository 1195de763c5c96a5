"""NaN: nothing spoilt is saved, and a recipe may let the run go back with half the learning rate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.training.conftest import Workshop, events, log_of
from tests.training.test_steering import with_recipe
from tui_ft.runs import changes, checkpoints
from tui_ft.runs.changes import Change
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.view import view

pytestmark = pytest.mark.train

SETTINGS: dict[str, Any] = {"epochs": 2.0, "eval_every": 4}


def train_with_nan(workshop: Workshop, run: RunFolder, step: int, times: int) -> None:
    """Train with a NaN in the update after `step`, so many times."""
    pid = workshop.zygote.ask(check="worker_with_nan", args=[str(run.path), step, times], log=str(run.log))
    assert workshop.wait(pid) == 0, log_of(run)


def saved_weights(run: RunFolder) -> list[Path]:
    """Every weight file in the run, those that were set aside too."""
    return list(run.path.rglob("adapter_model.safetensors"))


def assert_all_finite(run: RunFolder) -> None:
    """No file of weights holds a value that is none."""
    files = saved_weights(run)
    assert files
    for file in files:
        for name, values in load_file(file).items():
            assert np.isfinite(values).all(), (file, name)


def test_without_rollback_the_run_stops_and_keeps_only_finite_weights(workshop: Workshop) -> None:
    """The loss is NaN: the run stops there, and no saved weight is NaN."""
    run = workshop.run(**SETTINGS)
    train_with_nan(workshop, run, 10, 1)
    found = view(run)
    assert found.state == "failed"
    assert found.message == "the gradient became NaN at step 11"
    assert checkpoints.listed(run)[-1].step == 10
    assert_all_finite(run)


def test_the_run_goes_back_to_the_checkpoint_before_with_half_the_rate(workshop: Workshop) -> None:
    """The same with train.on_nan = "rollback": goes back to the checkpoint before with half the learning
    rate, exactly as a run with that rate."""
    run = with_recipe(workshop.run(**SETTINGS), train__on_nan="rollback")
    train_with_nan(workshop, run, 10, 1)
    found = view(run)
    assert found.state == "finished", log_of(run)
    (alert,) = found.alerts
    assert (alert.id, alert.severity, alert.step) == ("rolled-back", "warning", 11)
    assert "the run goes back to step 8 with half the learning rate, 1.0e-02" in alert.what
    assert [event["resumed_from"] for event in events(run, "start")] == [None, 8]
    assert changes.read(run) == (Change(8, {"train.learning_rate": 1e-2}, rollback=True),)
    assert_all_finite(run)

    # The way after it is that of a run whose rate was halved at that step.
    plain = workshop.run(**SETTINGS)
    changes.append(plain, Change(8, {"train.learning_rate": 1e-2}))
    assert workshop.train(plain) == 0
    assert found.curves["loss"] == view(plain).curves["loss"]
    assert (run.adapter / "adapter_model.safetensors").read_bytes() == (
        plain.adapter / "adapter_model.safetensors"
    ).read_bytes()


def test_a_checkpoint_of_the_very_step_is_left_behind(workshop: Workshop) -> None:
    """NaN right after a checkpoint: that one is set aside, and the run goes back further."""
    run = with_recipe(workshop.run(**SETTINGS), train__on_nan="rollback")
    train_with_nan(workshop, run, 8, 1)
    assert [event["resumed_from"] for event in events(run, "start")] == [None, 4]
    assert list(run.checkpoints.glob("left-step-8-*"))
    assert view(run).state == "finished"


def test_without_a_checkpoint_it_begins_anew_and_after_two_attempts_it_stops(workshop: Workshop) -> None:
    """NaN again and again: after two times back it stops, with every saved weight finite."""
    run = with_recipe(workshop.run(**SETTINGS), train__on_nan="rollback")
    train_with_nan(workshop, run, 2, 3)
    found = view(run)
    assert found.state == "failed"
    assert [event["resumed_from"] for event in events(run, "start")] == [None, None, None]
    assert [alert.id for alert in found.alerts] == ["rolled-back", "rolled-back", "not-finite"]
    assert [change.values["train.learning_rate"] for change in changes.read(run)] == [1e-2, 5e-3]
    assert len(events(run, "dry_run")) == 1
    assert_all_finite(run)


def test_before_the_first_update_no_rate_helps(workshop: Workshop) -> None:
    """NaN before the first update: stops at once, since no learning rate can help."""
    run = with_recipe(workshop.run(**SETTINGS), train__on_nan="rollback", train__dry_run=False)
    train_with_nan(workshop, run, 0, 1)
    assert view(run).state == "failed"
    assert changes.read(run) == ()
