"""What is offered when memory ran out: one step after the other, the first that fits."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sample_plan import make_plan
from tui_ft import recipe as recipes
from tui_ft.models.facts import Dims
from tui_ft.planning.ladder import Rung, command, step_down
from tui_ft.planning.memory import Device, estimate
from tui_ft.planning.plan import MethodPlan, TrainPlan

DIMS = Dims(
    layers=32, hidden=4096, intermediate=14336, heads=32, kv_heads=8, head_dim=128, vocab=128256, tied=False
)
LORA = MethodPlan("lora", "sft", 16, 32, 0.0, "all-linear", False)
FULL = replace(LORA, name="full", rank=0, alpha=0)


def train(**changes: Any) -> TrainPlan:
    """Settings that leave every rung below them open."""
    settings: dict[str, Any] = {"micro_batch": 8, "grad_accum": 2, "seq_len": 2048, "precision": "bf16"}
    return replace(make_plan().train, **settings | changes)


def need(device: Device) -> Any:
    """The memory formula for an 8B."""
    return lambda rung: estimate(DIMS, 8_030_000_000, rung.method, rung.train, device=device).peak_bytes


def test_half_the_rows_come_first() -> None:
    everything = need("cuda")(Rung(LORA, train()))
    rung = step_down(LORA, train(), "cuda", need("cuda"), everything - 1)
    assert rung is not None
    assert dict(rung.changes) == {"train.micro_batch": 4, "train.grad_accum": 4}
    assert rung.words() == "4 rows at once, 4 times before each update"


@given(st.integers(1, 80), st.sampled_from([LORA, FULL]), st.booleans())
def test_less_memory_never_stops_higher(gib: int, method: MethodPlan, checkpointing: bool) -> None:
    start = train(gradient_checkpointing=checkpointing)
    rung = step_down(method, start, "cuda", need("cuda"), gib << 30)
    more = step_down(method, start, "cuda", need("cuda"), (gib + 8) << 30)
    assert rung is not None
    assert more is not None
    assert rung.need_bytes <= more.need_bytes
    assert list(more.changes) == list(rung.changes)[: len(more.changes)]
    # Rows per update stay.
    assert rung.train.effective_batch == start.effective_batch
    assert rung.need_bytes == need("cuda")(rung)


def test_the_whole_ladder_of_full_training() -> None:
    rung = step_down(FULL, train(), "cuda", need("cuda"), 0)
    assert rung is not None
    assert dict(rung.changes) == {
        "train.micro_batch": 1,
        "train.grad_accum": 16,
        "train.gradient_checkpointing": True,
        "train.optimizer": "paged_adamw_8bit",
        "method.name": "qlora",
        "train.learning_rate": None,
        "train.seq_len": 256,  # shorter rows would save nothing: one weight in 16 bits is larger
    }
    assert rung.method.rank > 0
    assert "QLoRA" in rung.words()
    assert "256 tokens" in rung.words()


def test_nothing_smaller_is_said() -> None:
    small = train(micro_batch=1, seq_len=64, gradient_checkpointing=True, optimizer="paged_adamw_8bit")
    assert step_down(replace(LORA, name="qlora"), small, "cuda", need("cuda"), 0) is None


def test_a_processor_pages_nothing() -> None:
    rung = step_down(FULL, train(), "cpu", need("cpu"), 0)
    assert rung is not None
    assert rung.train.optimizer == "adamw_8bit"


def test_the_command_is_what_set_takes() -> None:
    recipe = recipes.parse({"model": {"id": "a/b"}, "data": {"path": "x"}, "train": {"learning_rate": 1e-4}})
    rung = step_down(FULL, train(), "cuda", need("cuda"), 0)
    assert rung is not None
    words = shlex.split(command("/runs/a b/recipe.toml", rung.changes))
    assert words[:3] == ["tui-ft", "train", "/runs/a b/recipe.toml"]
    assert set(words[3::2]) == {"--set"}
    assert recipes.with_settings(recipe, words[4::2]) == recipe.with_values(rung.changes)


@pytest.mark.parametrize("rows", [3, 5, 7])
def test_odd_batches_lose_no_row(rows: int) -> None:
    odd = train(micro_batch=rows, grad_accum=3)
    rung = step_down(LORA, odd, "cuda", need("cuda"), need("cuda")(Rung(LORA, odd)) - 1)
    assert rung is not None
    assert rung.train.effective_batch >= odd.effective_batch
