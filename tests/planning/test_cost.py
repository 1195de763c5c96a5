"""Time against published throughput, and what it grows with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.planning.situations import (
    A100,
    CPU,
    LLAMA_8B,
    RTX_4090,
    SMOLLM2,
    cpu_box,
    model,
    recipe,
    report,
    smollm2,
)
from tui_ft.hardware.facts import Hardware
from tui_ft.models.facts import Dims
from tui_ft.planning import cost
from tui_ft.planning.box import of_hardware
from tui_ft.planning.make import make
from tui_ft.planning.plan import MethodPlan, TrainPlan

MISTRAL_7B = Dims(32, 4096, 14336, 32, 8, 128, 32000, tied=False)
LLAMA2_7B = Dims(32, 4096, 11008, 32, 32, 128, 32000, tied=False)


def tokens_per_second(
    dims: Dims, parameters: float, box: Hardware, name: Any, seq: int, **changes: Any
) -> tuple[float, float]:
    """Slowest and fastest rate that the estimate allows, start-up left out."""
    plan = make(recipe(), model(), report(), A100)
    train: TrainPlan = replace(plan.train, packing=False, gradient_checkpointing=True, seq_len=seq, **changes)
    method = MethodPlan(name, "sft", 16, 32, 0.0, "all-linear", rslora=False)
    active = cost.active_weights(dims, int(parameters), "llama")
    work = cost.Work(train_tokens=1e9, eval_tokens=0, row_tokens=seq)
    time, _ = cost.time(of_hardware(box), dims, int(parameters), active, method, train, work)
    assert time is not None
    return 1e9 / time.high, 1e9 / time.low


@pytest.mark.parametrize(
    ("dims", "parameters", "box", "name", "seq", "measured"),
    [
        (MISTRAL_7B, 7.24e9, A100, "lora", 4096, 3324),
        (MISTRAL_7B, 7.24e9, A100, "qlora", 4096, 2904),
        (MISTRAL_7B, 7.24e9, A100, "full", 4096, 3063),
        (LLAMA_8B, 8.03e9, A100, "lora", 4096, 3829),
        (LLAMA2_7B, 6.74e9, RTX_4090, "qlora", 2048, 2330),
        (LLAMA2_7B, 6.74e9, RTX_4090, "lora", 2048, 2399),
    ],
)
def test_published_throughput_lies_in_the_range(
    dims: Dims, parameters: float, box: Hardware, name: str, seq: int, measured: float
) -> None:
    slow, fast = tokens_per_second(dims, parameters, box, name, seq)
    assert slow <= measured <= fast
    assert fast / slow < 2.5


@pytest.mark.parametrize(
    ("precision", "bf16", "name", "seconds_per_256"),
    [
        ("fp32", False, "lora", 2.3),
        ("bf16", True, "lora", 1.2),
        ("fp32", False, "full", 3.3),
        ("bf16", True, "qlora", 1.56),
    ],
)
def test_measured_steps_on_one_core_lie_in_the_range(
    precision: Any, bf16: bool, name: Any, seconds_per_256: float
) -> None:
    train = replace(
        make(recipe(), smollm2(), report(), CPU).train,
        precision=precision,
        gradient_checkpointing=False,
        packing=False,
    )
    method = MethodPlan(name, "sft", 16, 32, 0.0, "all-linear", rslora=False)
    active = cost.active_weights(SMOLLM2, None, "llama")
    box = of_hardware(cpu_box(cores=1, bf16=bf16))
    work = cost.Work(train_tokens=256e4, eval_tokens=0, row_tokens=256)
    time, basis = cost.time(box, SMOLLM2, 134_515_008, active, method, train, work)
    assert time is not None
    assert time.low <= seconds_per_256 * 1e4 <= time.high
    assert "SmolLM2" in basis


def test_a_token_of_a_mixture_passes_only_the_experts_it_visits() -> None:
    dense = cost.active_weights(MISTRAL_7B, None, "mistral")
    mixtral = replace(MISTRAL_7B, experts=8, experts_per_token=2)
    active = cost.active_weights(mixtral, 46_702_792_704, "mixtral")
    assert dense < active < 2 * dense


def test_more_epochs_take_longer_and_more_cores_do_not() -> None:
    def seconds(box: Hardware, text: str = "") -> float:
        plan = make(recipe(text), smollm2(), report(), box)
        assert plan.time_s is not None
        return plan.time_s.high

    assert seconds(CPU, "[train]\nepochs = 6\n") > seconds(CPU)
    assert seconds(cpu_box(cores=8)) < seconds(cpu_box(cores=2))


def test_checkpointing_costs_time_and_full_training_more() -> None:
    plan = make(recipe(), model(), report(), A100)
    active = cost.active_weights(LLAMA_8B, None, "llama")
    adapter, full = plan.method, replace(plan.method, name="full")
    kept = replace(plan.train, gradient_checkpointing=False)
    again = replace(plan.train, gradient_checkpointing=True)
    flops = [
        cost.flops_per_token(LLAMA_8B, active, m, t, 1024) for m in (adapter, full) for t in (kept, again)
    ]
    assert flops[0] < flops[1] < flops[3]
    assert flops[0] < flops[2] < flops[3]
