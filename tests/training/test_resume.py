"""Never lost: killed, stopped and damaged runs go on as if nothing had happened."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from typing import Any

import pytest

from tests.training.conftest import Workshop, events, log_of, losses, state_of, wait_for_step, wait_until
from tui_ft.runs import checkpoints, control, status
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.view import view

pytestmark = pytest.mark.train

# Dropout, two epochs and an evaluation every fifth step: everything that random numbers and counters touch.
SETTINGS: dict[str, Any] = {"epochs": 2.0, "eval_every": 5, "early_stopping": 5}
EVERY_STEP = 1e-9


@pytest.fixture(scope="module")
def whole(workshop: Workshop) -> RunFolder:
    """The run nobody interrupts."""
    run = workshop.run(**SETTINGS)
    assert workshop.train(run) == 0, log_of(run)
    return run


def assert_same(run: RunFolder, whole: RunFolder) -> None:
    """Bit for bit the same weights, curves and best step."""
    assert state_of(run) == "finished", log_of(run)
    for name in ("adapter_model.safetensors", "optimizer.pt", "rng_state.pth", "scheduler.pt"):
        assert (run.checkpoints / "step-24" / name).read_bytes() == (
            whole.checkpoints / "step-24" / name
        ).read_bytes(), name
    assert (run.adapter / "adapter_model.safetensors").read_bytes() == (
        whole.adapter / "adapter_model.safetensors"
    ).read_bytes()
    found, expected = view(run), view(whole)
    assert found.curves["loss"] == expected.curves["loss"]
    assert found.best == expected.best
    assert found.tokens == expected.tokens


@pytest.mark.parametrize("step", [3, 12, 17])
def test_a_killed_run_goes_on_bit_for_bit(workshop: Workshop, whole: RunFolder, step: int) -> None:
    run = workshop.run(**SETTINGS, save_every_minutes=EVERY_STEP)
    pid = workshop.start(run)
    wait_for_step(run, step)
    # Anywhere between two steps: while learning, while saving, while evaluating.
    time.sleep(random.Random(step).random() * 0.15)
    os.kill(pid, signal.SIGKILL)
    assert workshop.wait(pid) == -signal.SIGKILL
    assert state_of(run) == "lost"
    assert workshop.train(run, "--resume") == 0, log_of(run)
    start = events(run, "start")[-1]
    assert start["resumed_from"] >= step - 1
    assert_same(run, whole)
    assert not list(run.checkpoints.glob(".saving-*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_stops(workshop: Workshop, whole: RunFolder, number: signal.Signals) -> None:
    run = workshop.run(**SETTINGS)
    pid = workshop.start(run)
    wait_for_step(run, 7)
    os.kill(pid, signal.SIGHUP)
    os.kill(pid, number)
    assert workshop.wait(pid) == 0, log_of(run)
    found = view(run)
    assert found.state == "stopped"
    assert found.message == f"stopped by {number.name}; saved at step {found.step}"
    assert checkpoints.listed(run)[-1].step == found.step
    assert not run.adapter.exists()
    assert workshop.train(run, "--resume") == 0, log_of(run)
    assert_same(run, whole)


def test_a_damaged_checkpoint_is_set_aside_and_named(workshop: Workshop, whole: RunFolder) -> None:
    run = workshop.run(**SETTINGS, save_every_minutes=EVERY_STEP)
    pid = workshop.start(run)
    wait_for_step(run, 9)
    os.kill(pid, signal.SIGKILL)
    workshop.wait(pid)
    newest = checkpoints.listed(run)[-1]
    optimizer = newest.path / "optimizer.pt"
    optimizer.write_bytes(optimizer.read_bytes()[:-100])
    assert workshop.train(run, "--resume") == 0, log_of(run)
    (alert,) = (alert for alert in view(run).alerts if alert.id == "torn-checkpoint")
    assert newest.path.name in alert.what
    assert "optimizer.pt" in alert.what
    assert events(run, "start")[-1]["resumed_from"] < newest.step
    assert list(run.checkpoints.glob(f"torn-{newest.path.name}-*"))
    assert_same(run, whole)


def test_requests_are_obeyed_and_acknowledged(workshop: Workshop, whole: RunFolder) -> None:
    run = workshop.run(**SETTINGS)
    pid = workshop.start(run)
    wait_for_step(run, 1)
    asked = [control.request(run, "evaluate"), control.request(run, "save")]
    (run.control / "rubbish").write_text("?")
    wait_until(lambda: bool(events(run, "eval") and events(run, "checkpoint")), run)
    asked.append(control.request(run, "pause"))
    assert workshop.wait(pid) == 0, log_of(run)
    answers = {event["id"]: event["text"] for event in events(run, "control")}
    assert answers.keys() == {request.id for request in asked}
    assert [event["file"] for event in events(run, "control_rejected")] == ["rubbish"]
    assert state_of(run) == "paused"
    assert workshop.train(run, "--resume") == 0, log_of(run)
    assert_same(run, whole)


def test_stop_keeps_what_was_learned(workshop: Workshop) -> None:
    run = workshop.run(**SETTINGS)
    pid = workshop.start(run)
    wait_for_step(run, 6)
    control.request(run, "stop")
    assert workshop.wait(pid) == 0, log_of(run)
    found = view(run)
    assert found.state == "stopped"
    assert found.best is not None
    assert (run.adapter / "adapter_model.safetensors").read_bytes() == (
        run.checkpoints / f"step-{found.best.step}" / "adapter_model.safetensors"
    ).read_bytes()


def test_an_evaluation_cut_short_is_made_up_for(workshop: Workshop, whole: RunFolder) -> None:
    run = workshop.run(**SETTINGS)
    pid = workshop.start(run)
    wait_until(lambda: any(e["phase"].startswith("evaluating") for e in events(run, "phase")), run)
    os.kill(pid, signal.SIGTERM)
    assert workshop.wait(pid) == 0, log_of(run)
    assert workshop.train(run, "--resume") == 0, log_of(run)
    assert sorted({event["step"] for event in events(run, "eval")}) == [5, 10, 15, 20, 24]
    assert_same(run, whole)


def test_a_stop_before_the_first_step_is_a_stop(workshop: Workshop) -> None:
    run = workshop.run(**SETTINGS)
    pid = workshop.start(run)
    wait_until(lambda: status.reality(run).alive, run)
    control.request(run, "stop")
    assert workshop.wait(pid) == 0, log_of(run)
    found = view(run)
    assert found.state == "stopped"
    assert found.step <= 1


def test_nothing_saved_means_nothing_to_resume(workshop: Workshop) -> None:
    run = workshop.run(**SETTINGS)
    assert workshop.train(run, "--resume") == 2
    found = view(run)
    assert found.state == "failed"
    assert "nothing to resume" in found.message


@pytest.mark.parametrize("changed", ["data", "model"])
def test_resume_refuses_other_data_and_other_weights(
    workshop: Workshop, whole: RunFolder, changed: str, tmp_path: Any
) -> None:
    run = RunFolder(tmp_path / whole.id)
    shutil.copytree(whole.path, run.path)
    if changed == "data":
        shutil.copy(run.data / "validation.parquet", run.data / "train.parquet")
    else:
        run.lock.write_text(
            run.lock.read_text().replace('"model.safetensors" = "', '"model.safetensors" = "0')
        )
    assert workshop.train(run, "--resume") == 2
    assert ("train.parquet" if changed == "data" else "model.safetensors") in log_of(run)
    assert view(run).state == "failed"


def test_resuming_after_the_last_step_only_finishes(
    workshop: Workshop, whole: RunFolder, tmp_path: Any
) -> None:
    run = RunFolder(tmp_path / whole.id)
    shutil.copytree(whole.path, run.path)
    shutil.rmtree(run.adapter)
    assert workshop.train(run, "--resume") == 0, log_of(run)
    assert losses(run) == losses(whole)
    assert_same(run, whole)
