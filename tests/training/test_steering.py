"""Steered from outside: settings changed in a run, limits, an end with the epoch."""

from __future__ import annotations

import json
import math
import os
import signal
from typing import Any

import pytest

from tests.training.conftest import Workshop, events, log_of, losses, state_of, wait_for_step, wait_until
from tui_ft import recipe as recipes
from tui_ft.runs import changes, checkpoints, control
from tui_ft.runs.changes import Change
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.view import view

pytestmark = pytest.mark.train

SETTINGS: dict[str, Any] = {"epochs": 5.0, "eval_every": 5}
CHANGED = {"train.learning_rate": 7e-3, "train.eval_every": 7}


def with_recipe(run: RunFolder, **values: Any) -> RunFolder:
    """The run with keys of its recipe changed; `__` stands for the dot."""
    changed = {key.replace("__", "."): value for key, value in values.items()}
    recipes.save(run.read_recipe().with_values(changed), run.recipe)
    return run


def cosine(step: int, *, warmup: int, steps: int) -> float:
    """The share of the highest learning rate after so many steps."""
    if step < warmup:
        return step / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def test_a_change_is_made_again_at_the_same_step(workshop: Workshop) -> None:
    run = workshop.run(**SETTINGS)
    pid = workshop.start(run)
    wait_for_step(run, 6)
    asked = control.change(run, CHANGED)
    assert asked is not None
    wait_until(lambda: any(e["id"] == asked.id for e in events(run, "control")), run)
    (answer,) = events(run, "control")
    assert answer["values"] == CHANGED
    step = answer["step"]
    wait_for_step(run, step + 2)
    os.kill(pid, signal.SIGKILL)
    assert workshop.wait(pid) == -signal.SIGKILL
    # Checkpoints after the change are taken away, so that the run comes to it again.
    for saved in checkpoints.listed(run):
        if saved.step >= step:
            checkpoints.set_aside(run, saved.path.name)
    assert workshop.train(run, "--resume") == 0, log_of(run)
    assert events(run, "start")[-1]["resumed_from"] < step

    whole = workshop.run(**SETTINGS)
    changes.append(whole, Change(step, CHANGED))
    assert workshop.train(whole) == 0, log_of(whole)
    assert view(run).curves["loss"] == view(whole).curves["loss"]
    assert view(run).curves["lr"] == view(whole).curves["lr"]
    assert {event["step"] for event in events(run, "eval") if event["step"] > step} == {
        *range(-(-(step + 1) // 7) * 7, 60, 7),
        60,
    }
    for name in ("adapter_model.safetensors", "optimizer.pt", "scheduler.pt"):
        assert (run.checkpoints / "step-60" / name).read_bytes() == (
            whole.checkpoints / "step-60" / name
        ).read_bytes(), name
    for event in events(whole, "step"):
        highest = 7e-3 if event["step"] > step else 2e-2
        assert event["lr"] == pytest.approx(highest * cosine(event["step"] - 1, warmup=5, steps=60))
    assert view(run).changes == CHANGED


def test_a_change_after_the_checkpoint_it_is_resumed_from_is_not_made_twice(workshop: Workshop) -> None:
    run = workshop.run(epochs=3.0, eval_every=5, save_every_minutes=1e-9)
    changes.append(run, Change(8, CHANGED))
    pid = workshop.start(run)
    wait_for_step(run, 12)
    control.request(run, "pause")
    assert workshop.wait(pid) == 0, log_of(run)
    assert state_of(run) == "paused"
    assert workshop.train(run, "--resume") == 0, log_of(run)
    whole = workshop.run(epochs=3.0, eval_every=5)
    changes.append(whole, Change(8, CHANGED))
    assert workshop.train(whole) == 0, log_of(whole)
    assert view(run).curves["loss"] == view(whole).curves["loss"]
    for name in ("optimizer.pt", "scheduler.pt"):
        assert (run.checkpoints / "step-36" / name).read_bytes() == (
            whole.checkpoints / "step-36" / name
        ).read_bytes(), name


def test_what_cannot_be_is_refused_by_the_worker_too(workshop: Workshop) -> None:
    run = workshop.run(**SETTINGS)
    pid = workshop.start(run)
    wait_for_step(run, 1)
    run.control.mkdir(exist_ok=True)
    for number, values in enumerate(
        [
            {"train.learning_rate": -1},
            {"train.eval_every": 0},
            {"method.rank": 2},
            {"train.learning_rate": None},
        ]
    ):
        (run.control / f"{number}.json").write_text(json.dumps({"request": "set", "values": values}))
    wait_until(lambda: len(events(run, "control")) == 4, run)
    control.request(run, "stop")
    assert workshop.wait(pid) == 0, log_of(run)
    refusals = events(run, "control")[:4]
    assert all(event["refused"] for event in refusals)
    assert "train.learning_rate" in refusals[0]["text"]
    assert "method.rank cannot be changed in a run" in refusals[2]["text"]
    assert changes.read(run) == ()
    assert view(run).changes == {}


def test_a_stop_at_the_end_of_the_epoch(workshop: Workshop) -> None:
    run = workshop.run(**SETTINGS)
    pid = workshop.start(run)
    wait_for_step(run, 2)
    control.request(run, "stop-at-epoch")
    assert workshop.wait(pid) == 0, log_of(run)
    found = view(run)
    assert found.step % 12 == 0
    assert found.step < 60
    epochs = found.step // 12
    said = "1 epoch" if epochs == 1 else f"{epochs} epochs"
    assert (found.state, found.message) == (
        "stopped",
        f"stopped on request after {said}; saved at step {found.step}",
    )
    assert events(run, "eval")[-1]["step"] == found.step
    assert checkpoints.listed(run)[-1].step == found.step
    assert (run.adapter / "adapter_model.safetensors").exists()


def test_hours_end_a_run_and_count_on_after_a_resume(workshop: Workshop) -> None:
    run = with_recipe(
        workshop.run(epochs=200.0, eval_every=50),
        limits__max_hours=4 / 3600,
        limits__price_per_hour=2.0,
    )
    assert workshop.train(run) == 0, log_of(run)
    found = view(run)
    assert found.state == "stopped", log_of(run)
    assert found.message == f"the limit of 0.00111111 h is reached; saved at step {found.step}"
    assert [alert.id for alert in found.alerts] == ["limit-near"]
    assert events(run, "limit")[0]["key"] == "limits.max_hours"
    assert (run.adapter / "adapter_model.safetensors").exists()
    assert found.elapsed_s is not None
    assert found.elapsed_s >= 3
    assert found.cost == pytest.approx(2.0 * found.elapsed_s / 3600)

    assert workshop.train(run, "--resume") == 0, log_of(run)
    assert "is reached before the first step" in view(run).message
    assert view(run).step == found.step

    assert control.change(run, {"limits.max_hours": 1.0}) is None
    pid = workshop.start(run, "--resume")
    wait_for_step(run, found.step + 2)
    control.request(run, "stop")
    assert workshop.wait(pid) == 0, log_of(run)
    assert view(run).message.startswith("stopped on request")


def test_a_loss_that_does_not_move_is_told_once_and_not_again_after_a_resume(workshop: Workshop) -> None:
    settings: dict[str, Any] = {"epochs": 20.0, "learning_rate": 1e-9, "eval_every": 1000, "micro_batch": 4}
    method = {"dropout": 0.0}
    whole = workshop.run(method=method, **settings)
    assert workshop.train(whole) == 0, log_of(whole)
    (alert,) = view(whole).alerts
    assert alert.id == "not-learning"
    assert "learning_rate = 5.0e-09" in alert.action
    assert alert.step is not None

    run = workshop.run(method=method, **settings)
    pid = workshop.start(run)
    for at in (alert.step - 40, alert.step + 6):
        wait_for_step(run, at)
        control.request(run, "pause")
        assert workshop.wait(pid) == 0, log_of(run)
        assert state_of(run) == "paused", log_of(run)
        pid = workshop.start(run, "--resume")
    assert workshop.wait(pid) == 0, log_of(run)
    assert [(found.id, found.step) for found in view(run).alerts] == [("not-learning", alert.step)]
    assert losses(run) == losses(whole)
