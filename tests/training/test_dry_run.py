"""The dry run: it measures, it leaves no trace, and out of memory is an offer, not a crash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.training.conftest import Workshop, events, log_of, losses
from tui_ft import recipe as recipes
from tui_ft.commands.show import describe
from tui_ft.planning import calibration
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.view import show_json, view

pytestmark = pytest.mark.train

FULL = {"name": "full", "rank": 0, "alpha": 0}
# Dropout, accumulation, decay, evaluations, every kind of optimizer: all that could remember something.
WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "lora": ({}, {"micro_batch": 1, "grad_accum": 2, "weight_decay": 0.1}),
    "qlora, paged": ({"name": "qlora"}, {"precision": "bf16", "optimizer": "paged_adamw_32bit"}),
    "full": (FULL, {"learning_rate": 3e-3, "weight_decay": 0.1, "gradient_checkpointing": True}),
    "full, 8-bit": (FULL, {"learning_rate": 3e-3, "optimizer": "adamw_8bit", "precision": "bf16"}),
}


def without_dry_run(run: RunFolder) -> RunFolder:
    """The same run, told to skip it."""
    recipes.save(run.read_recipe().with_values({"train.dry_run": False}), run.recipe)
    return run


@pytest.mark.parametrize("name", WAYS)
def test_it_leaves_no_trace(workshop: Workshop, name: str) -> None:
    method, train = WAYS[name]
    tried = workshop.run(method=method, **train)
    plain = without_dry_run(workshop.run(method=method, **train))
    assert workshop.train(tried) == 0, log_of(tried)
    assert workshop.train(plain) == 0, log_of(plain)
    assert len(events(tried, "dry_run")) == 1
    assert not events(plain, "dry_run")
    assert losses(tried) == losses(plain)
    assert view(tried).curves["eval_loss"] == view(plain).curves["eval_loss"]
    last = f"step-{events(plain, 'step')[-1]['step']}"
    saved = {path.name for path in (plain.checkpoints / last).iterdir()}
    assert {path.name for path in (tried.checkpoints / last).iterdir()} == saved
    assert {"optimizer.pt", "rng_state.pth", "scheduler.pt"} < saved
    for file in saved - {"manifest.json", "progress.json"}:  # these hold times
        assert (tried.checkpoints / last / file).read_bytes() == (
            plain.checkpoints / last / file
        ).read_bytes(), file
    assert not list(tried.path.glob(".dry-run*"))


def test_what_it_tells(workshop: Workshop) -> None:
    run = workshop.run(epochs=2.0)
    left_by_a_kill = run.path / ".dry-run" / "checkpoints"
    left_by_a_kill.mkdir(parents=True)
    (left_by_a_kill / "half").write_text("")
    assert workshop.train(run) == 0, log_of(run)
    assert not left_by_a_kill.exists()
    (event,) = events(run, "dry_run")
    # Rows have 9 to 12 tokens; the longest batch is two of the longest.
    assert (event["rows"], event["tokens"], event["row_tokens"]) == (2, 24, 12)
    assert event["seconds"].keys() == {"forward", "backward", "optimizer", "evaluation", "save"}
    assert all(seconds >= 0 for seconds in event["seconds"].values())
    assert event["ratio"] == pytest.approx(event["measured_bytes"] / event["predicted_bytes"], abs=1e-4)
    assert 100e6 < event["measured_bytes"] < 2e9
    assert event["planned_bytes"] == run.read_plan().memory.peak_bytes
    kinds = [found["kind"] for found in events(run) if found["kind"] in ("dry_run", "step")]
    assert kinds == ["dry_run"] + ["step"] * 24
    assert [found["step"] for found in events(run, "step")] == list(range(1, 25))

    found = view(run)
    assert found.dry_run is not None
    assert found.dry_run.measured_bytes == event["measured_bytes"]
    assert found.dry_run.time_s is not None
    assert show_json(found)["dry_run"]["measured_bytes"] == event["measured_bytes"]
    (line,) = (line for line in describe(found) if "dry run" in line)
    assert "measured" in line
    assert "predicted" in line
    assert event["text"] in log_of(run)

    kept = calibration.load(workshop.home)[-1]
    plan = run.read_plan()
    assert (kept.device, kept.kind, kept.method) == (plan.device_name, "cpu", "lora")
    assert (kept.predicted_bytes, kept.measured_bytes) == (event["predicted_bytes"], event["measured_bytes"])
    assert kept.flops_per_s is not None
    assert kept.stack == calibration.stack()

    # What was tried once is not tried again.
    assert workshop.train(run, "--resume") == 0, log_of(run)
    assert len(events(run, "dry_run")) == 1
    assert view(run).dry_run == found.dry_run


def test_packed_sequences_are_tried_and_no_evaluation_without_rows(workshop: Workshop) -> None:
    run = workshop.run(packing=True, seq_len=32, validation=False)
    assert workshop.train(run) == 0, log_of(run)
    (event,) = events(run, "dry_run")
    assert event["rows"] == 1
    assert 24 < event["tokens"] <= 32
    assert event["seconds"].keys() == {"forward", "backward", "optimizer", "save"}


def offered(run: RunFolder) -> dict[str, Any]:
    """The offer of a run that ran out of memory in its dry run; what a person reads is checked here."""
    found = view(run)
    assert found.state == "failed", log_of(run)
    assert found.message.startswith("out of memory in the dry run (")
    assert "needed at least" in found.message
    assert "tui-ft train" in found.fix
    assert found.dry_run is not None
    assert found.dry_run.offer is not None
    assert found.dry_run.needed_bytes is not None
    command = show_json(found)["dry_run"]["offer"]["command"]
    assert any(line.strip() == command for line in describe(found))
    # The command's settings are accepted, and are the changes.
    words = command.split(" --set ")
    changed = recipes.with_settings(recipes.load(run.recipe), words[1:])
    assert words[0] == f"tui-ft train {run.recipe}"
    assert changed == run.read_recipe().with_values(found.dry_run.offer.changes)
    assert not events(run, "step")
    assert not list(run.path.glob(".dry-run*"))
    return found.dry_run.offer.changes


def test_out_of_gpu_memory_offers_half_the_rows(workshop: Workshop) -> None:
    run = workshop.run(micro_batch=4, grad_accum=2)
    # torch's own error, raised where its CUDA allocator would raise it.
    pid = workshop.zygote.ask(check="worker_without_gpu_memory", args=[str(run.path)], log=str(run.log))
    assert workshop.wait(pid) == 0, log_of(run)
    (event,) = events(run, "dry_run")
    assert event["failed"] == "forward"
    assert event["needed_bytes"] >= 64 << 30
    changes = offered(run)
    assert changes["train.micro_batch"] == 1
    assert changes["train.grad_accum"] == 8


def test_out_of_ram_is_the_same(workshop: Workshop) -> None:
    run = workshop.run(micro_batch=16, seq_len=2048)
    pid = workshop.zygote.ask(check="worker_with_little_ram", args=[str(run.path)], log=str(run.log))
    assert workshop.wait(pid) == 0, log_of(run)
    changes = offered(run)
    assert changes["train.micro_batch"] < 16
    assert changes["train.micro_batch"] * changes["train.grad_accum"] == 16


@pytest.mark.parametrize("name", ["peak_is_what_was_held_at_once", "longest_batch_is_found"])
def test_check(workshop: Workshop, name: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    pid = workshop.zygote.ask(check=name, args=[], log=str(log))
    assert workshop.wait(pid) == 0, log.read_text()
