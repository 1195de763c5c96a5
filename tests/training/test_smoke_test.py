"""The smoke test: it tells whether anything can be learned, and leaves no trace."""

from __future__ import annotations

from typing import Any

import pytest

from tests.training.conftest import Workshop, events, log_of, losses
from tests.training.test_steering import with_recipe
from tui_ft.runs.view import view

pytestmark = pytest.mark.train

WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "lora": ({}, {"micro_batch": 1, "grad_accum": 2, "weight_decay": 0.1}),
    "full, 8-bit": (
        {"name": "full", "rank": 0, "alpha": 0},
        {"learning_rate": 3e-3, "optimizer": "adamw_8bit", "precision": "bf16"},
    ),
}


@pytest.mark.parametrize("name", WAYS)
def test_it_leaves_no_trace(workshop: Workshop, name: str) -> None:
    method, train = WAYS[name]
    tested = with_recipe(workshop.run(method=method, **train), train__smoke_test=True, train__dry_run=False)
    plain = with_recipe(workshop.run(method=method, **train), train__dry_run=False)
    assert workshop.train(tested) == 0, log_of(tested)
    assert workshop.train(plain) == 0, log_of(plain)
    (event,) = events(tested, "smoke_test")
    assert event["rows"] == 8
    assert 1 <= event["steps"] <= 30
    assert event["last_loss"] < 0.8 * event["first_loss"]
    assert losses(tested) == losses(plain)
    assert view(tested).curves["eval_loss"] == view(plain).curves["eval_loss"]
    last = f"step-{events(plain, 'step')[-1]['step']}"
    for path in (plain.checkpoints / last).iterdir():
        if path.name not in ("manifest.json", "progress.json"):  # these hold times
            assert (tested.checkpoints / last / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize(
    ("rate", "what", "fix"),
    [
        (1e-12, "did not fall in 30 steps", "Raise train.learning_rate"),
        (1e3, "rose from", "Lower train.learning_rate"),
    ],
)
def test_a_model_that_cannot_learn_is_not_trained(
    workshop: Workshop, rate: float, what: str, fix: str
) -> None:
    run = with_recipe(
        workshop.run(method={"dropout": 0.0}, learning_rate=rate),
        train__smoke_test=True,
        train__dry_run=False,
    )
    assert workshop.train(run) == 4, log_of(run)
    found = view(run)
    assert found.state == "failed"
    assert what in found.message
    assert found.fix.startswith(fix)
    assert not events(run, "step")
