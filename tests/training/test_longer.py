"""A run made longer, and a resume of something else refused."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.training.conftest import Workshop, events, log_of, losses, state_of, wait_for_step
from tui_ft.runs import amendments, launch, resuming
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.terms import Differs
from tui_ft.runs.view import view

pytestmark = pytest.mark.train

SETTINGS: dict[str, Any] = {"epochs": 1.0, "eval_every": 6, "early_stopping": 1}


@pytest.fixture(scope="module")
def short(workshop: Workshop) -> RunFolder:
    """A run of one epoch, 12 steps, that is finished."""
    run = workshop.run(**SETTINGS)
    assert workshop.train(run) == 0, log_of(run)
    return run


@pytest.fixture
def finished(short: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of it to go on with."""
    run = RunFolder(tmp_path / short.id)
    shutil.copytree(short.path, run.path)
    return run


def extend(run: RunFolder, setting: str) -> None:
    """Journal what `tui-ft resume RUN --set …` asks for."""
    resuming.asked(run, [setting]).journal(run)


def test_a_finished_run_goes_on_learning(workshop: Workshop, finished: RunFolder) -> None:
    extend(finished, "train.epochs=2")
    assert workshop.train(finished, "--resume") == 0, log_of(finished)
    found = view(finished)
    assert (found.state, found.step, found.steps) == ("finished", 24, 24)
    (told,) = events(finished, "extended")
    assert told["text"].startswith("The run is extended from 12 to 24 steps at step 12.")
    rates = {event["step"]: event["lr"] for event in events(finished, "step")}
    # Step 13 has the rate after 12 steps, where the first schedule had come to 0; then it rises and falls.
    # A cosine planned for 24 steps with one of warm-up has half (1 + cos(pi 11 / 23)) there.
    assert rates[13] == 0.0
    assert rates[14] == pytest.approx(2e-2 * 0.5 * (1 + math.cos(math.pi * 11 / 23)), rel=1e-6)
    assert all(rates[step] > rates[step + 1] > 0 for step in range(14, 24))
    assert losses(finished)[-1] < losses(finished)[11]


def test_a_longer_run_that_is_killed_goes_on_the_same(
    workshop: Workshop, finished: RunFolder, tmp_path: Path
) -> None:
    extend(finished, "train.epochs=2")
    again = RunFolder(tmp_path / "again" / finished.id)
    shutil.copytree(finished.path, again.path)
    assert workshop.train(finished, "--resume") == 0, log_of(finished)
    pid = workshop.start(again, "--resume", fault="slow@0.02")
    wait_for_step(again, 17)
    os.kill(pid, signal.SIGTERM)
    assert workshop.wait(pid) == 0
    assert state_of(again) == "stopped"
    assert workshop.train(again, "--resume") == 0, log_of(again)
    for name in ("adapter_model.safetensors", "optimizer.pt"):
        assert (again.checkpoints / "step-24" / name).read_bytes() == (
            finished.checkpoints / "step-24" / name
        ).read_bytes()
    assert view(again).curves["lr"] == view(finished).curves["lr"]


def test_only_a_longer_run_may_be_finished(finished: RunFolder) -> None:
    with pytest.raises(Exception, match="this run is finished") as caught:
        launch.resume(finished)
    assert "--set train.epochs=2" in str(caught.value)


@pytest.mark.parametrize(
    ("file", "old", "new", "row"),
    [
        ("recipe.toml", "[data]", "[method]\nrank = 32\n[data]", ("method.rank", "not set", "32")),
        ("plan.json", '"rank": 4', '"rank": 8', ("method.rank", "4", "8")),
        (
            "plan.json",
            '"learning_rate": 0.02',
            '"learning_rate": 0.01',
            ("train.learning_rate", "0.02", "0.01"),
        ),
        ("plan.json", '"seed": 42', '"seed": 43', ("train.seed", "42", "43")),
        ("plan.json", '"precision": "fp32"', '"precision": "bf16"', ("train.precision", "fp32", "bf16")),
        ("plan.json", '"objective": "sft"', '"objective": "cpt"', ("method.objective", "sft", "cpt")),
    ],
)
def test_what_decides_the_training_cannot_be_edited_afterwards(
    finished: RunFolder, file: str, old: str, new: str, row: tuple[str, str, str]
) -> None:
    extend(finished, "train.epochs=2")
    path = finished.path / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(Differs) as caught:
        launch._check_start(finished, resume=True, longer=True)
    assert [(found.key, found.then or "not set", found.now) for found in caught.value.differences] == [row]
    table = str(caught.value).splitlines()
    assert table[1].split() == ["key", "then", "now"]
    assert table[2].split() == " ".join(row).split()
    assert "method.continue_from" in caught.value.fix


def test_an_edited_number_of_epochs_is_refused_and_the_way_to_a_longer_run_named(finished: RunFolder) -> None:
    finished.recipe.write_text(finished.recipe.read_text() + "[train]\nepochs = 5\nkeep_checkpoints = 9\n")
    with pytest.raises(Differs) as caught:
        launch._check_start(finished, resume=True, longer=True)
    assert [found.key for found in caught.value.differences] == ["train.epochs"]
    assert f"tui-ft resume {finished.id} --set train.epochs=5" in caught.value.fix


def test_another_template_is_refused_with_its_hashes(workshop: Workshop, finished: RunFolder) -> None:
    extend(finished, "train.epochs=2")
    finished.lock.write_text(
        finished.lock.read_text().replace('chat_template_sha256 = "', 'chat_template_sha256 = "0123456789ab')
    )
    assert workshop.train(finished, "--resume") == 2
    assert "chat template was 0123456789ab" in view(finished).message


def test_other_versions_are_told_and_go_on(workshop: Workshop, finished: RunFolder) -> None:
    extend(finished, "train.epochs=2")
    locked = finished.lock.read_text()
    at = locked.index('peft = "')
    finished.lock.write_text(locked[:at] + 'peft = "0.0.1"' + locked[locked.index("\n", at) :])
    assert workshop.train(finished, "--resume") == 0, log_of(finished)
    (alert,) = (alert for alert in view(finished).alerts if alert.id == "versions-changed")
    assert "peft was 0.0.1 when this run began" in alert.what


def test_what_may_change_is_listed_and_the_rest_refused_with_the_way_out(finished: RunFolder) -> None:
    with pytest.raises(Exception, match="unknown key") as caught:
        resuming.asked(finished, ["method.rank=8", "train.epoch=3", "train.epochs"])
    text = str(caught.value)
    assert "--set method.rank: cannot change when a run goes on" in text
    assert f'method.continue_from = "{finished.id}"' in text
    assert "Did you mean train.epochs?" in text
    assert "--set train.epochs: has no value" in text
    with pytest.raises(Exception, match="planned for 1 already"):
        resuming.asked(finished, ["train.epochs=0.5"])
    with pytest.raises(Exception, match="given in epochs"):
        resuming.asked(finished, ["train.max_steps=50"])
    assert not amendments.read(finished)
    made = resuming.asked(finished, ["train.epochs=3", "train.learning_rate=1e-3"])
    assert made.longer is not None
    assert made.changed is not None
    assert (made.longer.step, made.changed.values) == (12, {"train.learning_rate": 1e-3})


def test_torn_and_foreign_lines_of_the_journal_are_passed_over(finished: RunFolder) -> None:
    extend(finished, "train.epochs=2")
    with amendments.journal(finished).open("ab") as file:
        file.write(b'{"t": 1, "step": 3, "why": "memory", "val')
    extend(finished, "train.epochs=3")
    with amendments.journal(finished).open("ab") as file:
        file.write(b'\n[]\n{"t":"x","step":1,"why":"extended","values":{}}\n' + json.dumps({"a": 1}).encode())
    assert [made.values["train.epochs"] for made in amendments.read(finished)] == [2, 3]
