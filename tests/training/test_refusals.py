"""What must not go on, and what it says."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.conftest import Workshop, events, log_of
from tui_ft.files import write_json
from tui_ft.runs import checkpoints
from tui_ft.runs.view import view

pytestmark = pytest.mark.train


def test_not_a_number_stops_before_the_weights_are_spoilt(workshop: Workshop) -> None:
    run = workshop.run(learning_rate=1e30, warmup_steps=2, max_grad_norm=1e30)
    assert workshop.train(run) == 4, log_of(run)
    found = view(run)
    assert found.state == "failed"
    assert "the gradient became" in found.message
    assert "train.learning_rate" in found.fix
    (alert,) = found.alerts
    assert (alert.id, alert.severity) == ("not-finite", "error")
    steps = events(run, "step")
    assert alert.step == steps[-1]["step"] + 1
    assert all(math.isfinite(event["loss"]) for event in steps)
    newest = checkpoints.listed(run)[-1]
    assert newest.step == steps[-1]["step"]


def test_what_was_saved_is_not_overwritten(workshop: Workshop) -> None:
    run = workshop.run()
    assert workshop.train(run) == 0, log_of(run)
    saved = checkpoints.listed(run)
    assert workshop.train(run) == 2
    assert "starting again would lose it" in view(run).message
    assert checkpoints.listed(run) == saved


def test_a_target_that_is_no_module_is_named(workshop: Workshop) -> None:
    run = workshop.run(method={"targets": ("q_proj", "v_porj")})
    assert workshop.train(run) == 2
    found = view(run)
    assert found.message == "the model has no module called 'v_porj'"
    assert "v_proj" in found.fix


def test_rows_whose_answer_is_cut_are_told_and_empty_ones_left_out(workshop: Workshop) -> None:
    run = workshop.run(seq_len=8)
    assert workshop.train(run) == 0, log_of(run)
    (data,) = events(run, "data")
    # five tokens of question, then an answer of 4 to 7 tokens
    assert (data["rows"], data["cut"], data["dropped"]) == (24, 24, 0)
    (alert,) = view(run).alerts
    assert alert.id == "answer-cut"
    assert alert.what.startswith("24 answers cut off at 8 tokens, 0 rows left out")
    nothing = workshop.run(seq_len=5)
    assert workshop.train(nothing) == 2
    assert view(nothing).message == "none of the 24 rows has an answer within 5 tokens"


def test_missing_and_damaged_weights_are_said_plainly(workshop: Workshop, tmp_path: Path) -> None:
    run = workshop.run()
    model = tmp_path / "model"
    write_json(run.plan, replace(run.read_plan(), model_folder=str(model)).to_json())
    assert workshop.train(run) == 2
    assert view(run).message == f"the folder of the base model is gone: {model}"
    shutil.copytree(workshop.model, model)
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    assert workshop.train(run) == 2
    found = view(run)
    assert (found.state, found.message) == ("failed", "a weight file is damaged or incomplete")
    assert "Traceback" in log_of(run)


def test_torn_prepared_data_is_said_plainly(workshop: Workshop) -> None:
    run = workshop.run()
    path = run.data / "train.parquet"
    path.write_bytes(path.read_bytes()[:200])
    assert workshop.train(run) == 2
    assert view(run).message.startswith("the prepared data cannot be read")
