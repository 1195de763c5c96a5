"""Ways to train besides plain LoRA: going on from an adapter, order, noise, schedules, optimizers."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.training.conftest import Workshop, events, log_of, losses, wait_for_step
from tests.training.test_preference import judged_run
from tui_ft.runs.folder import RunFolder

pytestmark = pytest.mark.train
EVERY_STEP = 1e-9


@pytest.fixture(scope="module")
def learned(workshop: Workshop) -> RunFolder:
    """A finished run to go on from."""
    run = workshop.run(name="learned")
    assert workshop.train(run) == 0, log_of(run)
    return run


def same(run: RunFolder, whole: RunFolder) -> None:
    """Bit for bit the same result."""
    kept, expected = (found.adapter / "adapter_model.safetensors" for found in (run, whole))
    assert kept.read_bytes() == expected.read_bytes()
    assert losses(run)[-1] == losses(whole)[-1]


def kill_and_resume(workshop: Workshop, run: RunFolder, step: int) -> None:
    """Kill a run that saves at every step, and let it go on."""
    pid = workshop.start(run)
    wait_for_step(run, step)
    os.kill(pid, signal.SIGKILL)
    assert workshop.wait(pid) == -signal.SIGKILL
    assert workshop.train(run, "--resume") == 0, log_of(run)
    assert events(run, "start")[-1]["resumed_from"] >= step - 1


def test_training_goes_on_from_an_adapter(workshop: Workshop, learned: RunFolder) -> None:
    run = workshop.run(method={"continue_from": str(learned.adapter)}, learning_rate=1e-3)
    assert workshop.train(run) == 0, log_of(run)
    assert losses(run)[0] < losses(learned)[0] - 0.3
    assert events(run, "model")[0]["matches"] == events(learned, "model")[0]["matches"]


def test_preferences_after_answers_are_judged_against_the_adapter(
    workshop: Workshop, learned: RunFolder
) -> None:
    method = {"continue_from": str(learned.adapter)}
    whole = judged_run(workshop, "dpo", method)
    assert workshop.train(whole) == 0, log_of(whole)
    # At the first step policy and reference are the same adapter: no margin, loss ln 2.
    first = events(whole, "step")[0]
    assert first["reward_margin"] == 0
    assert first["loss"] == pytest.approx(0.6931, abs=1e-4)
    copied = workshop.home.root / "copied"
    shutil.copytree(learned.adapter, copied)
    run = judged_run(workshop, "dpo", {"continue_from": str(copied)}, save_every_minutes=EVERY_STEP)
    pid = workshop.start(run)
    wait_for_step(run, 5)
    os.kill(pid, signal.SIGKILL)
    workshop.wait(pid)
    # The run has its own copy.
    shutil.rmtree(copied)
    assert workshop.train(run, "--resume") == 0, log_of(run)
    same(run, whole)


def test_an_adapter_that_does_not_fit_is_refused(
    workshop: Workshop, learned: RunFolder, tmp_path: Path
) -> None:
    folder = tmp_path / "adapter"
    shutil.copytree(learned.adapter, folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["target_modules"] = ["q_proj"]
    (folder / "adapter_config.json").write_text(json.dumps(config))
    run = workshop.run(method={"continue_from": str(folder)})
    assert workshop.train(run) == 2, log_of(run)
    assert "matrices of the adapter have no counterpart" in log_of(run)


def test_rows_by_length_are_resumed_exactly(workshop: Workshop, learned: RunFolder) -> None:
    settings: dict[str, Any] = {"group_by_length": True, "epochs": 2.0, "eval_every": 50}
    whole = workshop.run(**settings)
    assert workshop.train(whole) == 0, log_of(whole)
    run = workshop.run(**settings, save_every_minutes=EVERY_STEP)
    kill_and_resume(workshop, run, 15)
    same(run, whole)
    assert losses(learned)[:3] != losses(whole)[:3]


def test_noise_is_resumed_exactly(workshop: Workshop, learned: RunFolder) -> None:
    settings: dict[str, Any] = {"neftune_alpha": 5.0, "eval_every": 3}
    whole = workshop.run(**settings)
    assert workshop.train(whole) == 0, log_of(whole)
    run = workshop.run(**settings, save_every_minutes=EVERY_STEP)
    kill_and_resume(workshop, run, 5)
    same(run, whole)
    assert losses(learned)[0] != losses(whole)[0]


def test_a_wsd_schedule_falls_at_its_end(workshop: Workshop) -> None:
    run = workshop.run(schedule="wsd")
    assert workshop.train(run) == 0, log_of(run)
    rates = [event["lr"] for event in events(run, "step")]
    assert rates[2:10] == [2e-2] * 8
    assert rates[11] < rates[10] <= 2e-2


def test_an_8_bit_optimizer_learns_and_is_resumed_exactly(workshop: Workshop) -> None:
    # The embedding of the tiny model is large enough for states in 8 bits.
    settings: dict[str, Any] = {
        "method": {"name": "full", "rank": 0},
        "optimizer": "adamw_8bit",
        "learning_rate": 1e-3,
        "eval_every": 50,
    }
    whole = workshop.run(**settings)
    assert workshop.train(whole) == 0, log_of(whole)
    assert losses(whole)[-1] < losses(whole)[0] - 0.3
    run = workshop.run(**settings, save_every_minutes=EVERY_STEP)
    kill_and_resume(workshop, run, 5)
    assert losses(run)[-1] == losses(whole)[-1]
    kept, expected = (found.model / "model.safetensors" for found in (run, whole))
    assert kept.read_bytes() == expected.read_bytes()


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        (("q_porj",), ("no module called 'q_porj'", "q_proj")),
        (("lm_head",), ("lm_head",)),
        (("embed_tokens",), ("embed_tokens",)),
    ],
)
def test_targets_that_cannot_be_are_explained(
    workshop: Workshop, targets: tuple[str, ...], words: tuple[str, ...]
) -> None:
    run = workshop.run(method={"targets": targets})
    assert workshop.train(run) == 2, log_of(run)
    assert all(word in log_of(run) for word in words)
