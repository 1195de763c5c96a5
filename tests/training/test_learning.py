"""Every method really learns, the same recipe gives the same curve, and the best weights are kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.training.conftest import Workshop, events, log_of, losses, read_json, state_of
from tui_ft import recipe as recipes
from tui_ft.runs.view import view

pytestmark = pytest.mark.train

METHODS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "lora": ({}, {}),
    "qlora": ({"name": "qlora"}, {"precision": "bf16", "optimizer": "paged_adamw_32bit"}),
    "dora": ({"name": "dora"}, {}),
    "rslora on q and v, bf16": ({"rslora": True, "targets": ("q_proj", "v_proj")}, {"precision": "bf16"}),
    "full": ({"name": "full", "rank": 0, "alpha": 0}, {"learning_rate": 3e-3}),
    "full bf16": ({"name": "full", "rank": 0, "alpha": 0}, {"learning_rate": 3e-3, "precision": "bf16"}),
    "packed": ({}, {"packing": True, "seq_len": 32}),
    "checkpointing, accumulation": ({}, {"gradient_checkpointing": True, "micro_batch": 1, "grad_accum": 2}),
    "constant rate, 8-bit": ({}, {"schedule": "constant", "optimizer": "adamw_8bit", "learning_rate": 1e-2}),
}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_learns(workshop: Workshop, name: str) -> None:
    method, train = METHODS[name]
    run = workshop.run(method=method, **{"epochs": 5.0, "eval_every": 15, **train})
    assert workshop.train(run) == 0, log_of(run)
    curve = losses(run)
    assert sum(curve[-4:]) < 0.8 * sum(curve[:4])
    assert state_of(run) == "finished"
    found = view(run)
    (result,) = (artefact for artefact in found.artefacts if artefact.kind in ("adapter", "model"))
    assert result.kind == ("model" if method.get("name") == "full" else "adapter")
    assert found.best is not None
    kept = run.checkpoints / f"step-{found.best.step}"
    weights = "model.safetensors" if result.kind == "model" else "adapter_model.safetensors"
    assert (Path(result.path) / weights).read_bytes() == (kept / weights).read_bytes()
    (learning,) = events(run, "learning")
    assert learning["weights"] == learning["with_gradient"]
    assert not found.alerts


def test_the_same_recipe_gives_the_same_curve(workshop: Workshop) -> None:
    first, second = workshop.run(), workshop.run()
    assert workshop.train(first) == workshop.train(second) == 0
    assert losses(first) == losses(second)
    other = workshop.run(seed=43)
    assert workshop.train(other) == 0
    assert losses(other) != losses(first)


def test_evaluating_more_often_does_not_change_the_training(workshop: Workshop) -> None:
    seldom, often = workshop.run(eval_every=12), workshop.run(eval_every=1)
    assert workshop.train(seldom) == workshop.train(often) == 0
    assert losses(seldom) == losses(often)
    assert len(events(often, "eval")) == 12
    assert events(often, "eval")[-1]["eval_loss"] == events(seldom, "eval")[-1]["eval_loss"]


def test_what_a_finished_run_leaves(workshop: Workshop) -> None:
    run = workshop.run(eval_every=2, keep_checkpoints=1)
    assert workshop.train(run) == 0, log_of(run)
    found = view(run)
    assert (found.state, found.step, found.steps, found.alive) == ("finished", 12, 12, False)
    assert found.message.startswith("finished after 12 steps; best validation loss")
    assert found.best is not None
    saved = {artefact.step for artefact in found.artefacts if artefact.kind == "checkpoint"}
    assert saved == {found.best.step, 12} | ({10} if found.best.step == 12 else set())
    assert found.tokens == sum(3 + 2 + number % 4 + 4 for number in range(24))
    names = {path.name for path in run.path.rglob("*") if path.is_file()}
    assert not any(name.endswith((".bin", ".pickle")) or name == "README.md" for name in names)
    config = read_json(run.adapter / "adapter_config.json")
    assert config["base_model_name_or_path"] == str(workshop.model)
    assert {"tokenizer.json", "chat_template.jinja"} <= {path.name for path in run.adapter.iterdir()}
    lock = run.lock.read_text()
    assert "torch = " in lock
    assert "train.parquet" in lock
    assert "model.safetensors" in lock


def test_the_best_weights_are_kept_and_learning_stops_early(workshop: Workshop) -> None:
    run = workshop.run(
        epochs=50.0, learning_rate=0.3, warmup_steps=0, schedule="constant", eval_every=2, early_stopping=3
    )
    assert workshop.train(run) == 0, log_of(run)
    evaluations = {event["step"]: event["eval_loss"] for event in events(run, "eval")}
    best = min(evaluations, key=lambda step: evaluations[step])
    last = max(evaluations)
    assert last == best + 6
    found = view(run)
    assert found.best is not None
    assert (found.best.step, found.step) == (best, last)
    assert found.message.startswith("stopped early after 3 evaluations without gain")
    assert (run.adapter / "adapter_model.safetensors").read_bytes() == (
        run.checkpoints / f"step-{best}" / "adapter_model.safetensors"
    ).read_bytes()


def test_without_validation_rows_the_last_weights_are_kept(workshop: Workshop) -> None:
    run = workshop.run(validation=False)
    assert workshop.train(run) == 0, log_of(run)
    found = view(run)
    assert found.best is None
    assert found.eval_loss is None
    assert (run.adapter / "adapter_model.safetensors").read_bytes() == (
        run.checkpoints / "step-12" / "adapter_model.safetensors"
    ).read_bytes()


@pytest.mark.parametrize("objective", ["sft", "cpt"])
def test_from_a_file_of_rows_to_an_adapter(workshop: Workshop, objective: str) -> None:
    run = workshop.run(method={"objective": objective}, epochs=4.0, eval_every=20, micro_batch=4)
    shutil.rmtree(run.data)
    with (run.path / "rows.jsonl").open("w") as file:
        for number in range(60):
            question, answer = f"How do I call {number} times?", f"Call {number % 5} and {number % 3} times."
            turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            row = {"messages": turns} if objective == "sft" else {"text": f"{question} {answer} The end."}
            print(json.dumps(row), file=file)
    recipe = run.read_recipe().with_values({"data.path": str(run.path / "rows.jsonl")})
    recipes.save(recipe, run.recipe)
    assert workshop.train(run) == 0, log_of(run)
    (data,) = events(run, "data")
    assert 40 <= data["rows"] <= 56
    assert (
        data["answer_tokens"] < data["tokens"]
        if objective == "sft"
        else data["answer_tokens"] > 0.9 * data["tokens"]
    )
    curve = losses(run)
    assert sum(curve[-4:]) < 0.8 * sum(curve[:4])
    assert state_of(run) == "finished"
    assert "rows.jsonl" in run.lock.read_text()
