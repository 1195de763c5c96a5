"""Numbers and clocks that go wrong."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from tests.faults.conftest import EVERY_STEP, SETTINGS, assert_same, suffer
from tests.training.conftest import Workshop, events, log_of
from tui_ft.runs import checkpoints
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.view import view

pytestmark = pytest.mark.train

HOUR = 3600.0


def _finite(folder: Path) -> bool:
    import numpy as np

    return all(
        bool(np.isfinite(array).all()) for array in load_file(folder / "adapter_model.safetensors").values()
    )


@pytest.mark.parametrize("what", ["gradient", "weight"])
def test_nan(workshop: Workshop, whole: RunFolder, what: str) -> None:
    """NaN in a gradient or a weight at step 8: the run ends there, nothing saved holds NaN, goes on
    exactly."""
    run = workshop.run(**SETTINGS, save_every_minutes=EVERY_STEP)
    assert suffer(workshop, run, faults=[["nan", what, 8]]) == 4, log_of(run)
    found = view(run)
    assert found.state == "failed"
    assert "NaN" in found.message or "nan" in found.message
    assert [(alert.id, alert.step) for alert in found.alerts] == [("not-finite", 8)]
    assert all(math.isfinite(event["loss"]) for event in events(run, "step"))
    saved = checkpoints.listed(run)
    assert saved[-1].step == 7
    assert all(_finite(checkpoint.path) for checkpoint in saved)
    assert workshop.train(run, "--resume") == 0, log_of(run)
    assert_same(run, whole)


@pytest.mark.parametrize("hours", [-5, 5])
def test_clock_jumps(workshop: Workshop, whole: RunFolder, hours: int) -> None:
    """The clock jumps five hours ahead or back: no step, save, evaluation, limit or time left goes by
    it."""
    run = workshop.run(**SETTINGS, save_every_minutes=60.0)
    run.recipe.write_text(run.recipe.read_text() + "[limits]\nmax_hours = 1.0\n")
    assert suffer(workshop, run, faults=[["clock", 8, hours * HOUR]]) == 0, log_of(run)
    reasons = [event["reason"] for event in events(run, "checkpoint")]
    assert "time" not in reasons
    assert all(0 <= event["seconds"] < 60 for event in events(run, "step"))
    found = view(run)
    assert found.elapsed_s is not None
    assert 0 < found.elapsed_s < 600
    assert_same(run, whole)


@pytest.mark.parametrize("hours", [-5, 5])
def test_clock_jumps_before_a_resume(workshop: Workshop, whole: RunFolder, hours: int) -> None:
    """The clock jumps five hours in a run that is then killed: a limit of one hour does not end the
    resume."""
    run = workshop.run(**SETTINGS, save_every_minutes=EVERY_STEP)
    run.recipe.write_text(run.recipe.read_text() + "[limits]\nmax_hours = 1.0\n")
    jump = ["clock", 8, hours * HOUR]
    assert suffer(workshop, run, faults=[jump, ["death_in_save", 12, "before the weights"]]) == -9
    assert workshop.train(run, "--resume") == 0, log_of(run)
    assert_same(run, whole)
