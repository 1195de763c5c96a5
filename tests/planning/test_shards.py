"""What one of several GPUs holds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.planning.situations import LLAMA_8B, LLAMA_70B
from tui_ft.planning.memory import estimate
from tui_ft.planning.plan import UNDECIDED, MemoryEstimate, MethodPlan
from tui_ft.recipe import MethodName

TRAIN = replace(UNDECIDED, seq_len=2048)
PARAMETERS = 8_030_261_248
HEAD = 2 * 128_256 * 4096  # weights of embedding and head
LAYER = (PARAMETERS - HEAD) / 32


def memory(name: MethodName, **sharing: Any) -> MemoryEstimate:
    rank = 0 if name == "full" else 16
    method = MethodPlan(name, "sft", rank, 2 * rank, 0.0, "all-linear", rslora=False)
    return estimate(LLAMA_8B, PARAMETERS, method, TRAIN, device="cuda", **sharing)


@pytest.mark.parametrize("name", ["lora", "qlora", "full"])
def test_one_gpu_shares_nothing(name: MethodName) -> None:
    assert memory(name, gpus=1, strategy="fsdp") == memory(name, gpus=1, strategy="ddp") == memory(name)


@pytest.mark.parametrize("name", ["lora", "qlora", "full"])
def test_a_copy_adds_buckets_as_large_as_the_gradients(name: MethodName) -> None:
    one, four = memory(name), memory(name, gpus=4, strategy="ddp")
    adapters = one.adapters or 2 * PARAMETERS
    assert four.peak_bytes - one.peak_bytes == pytest.approx(adapters, rel=0.001)
    assert (four.weights, four.optimizer, four.activations) == (one.weights, one.optimizer, one.activations)


def test_full_training_is_cut_into_sixteen_bytes_per_weight() -> None:
    # fp32 weights and two fp32 moments, an eighth each; embedding, head and two layers whole in 16 bits.
    eighth = memory("full", gpus=8, strategy="fsdp")
    gathered = 2 * (HEAD + 2 * LAYER)
    assert eighth.optimizer == pytest.approx(8 * PARAMETERS / 8, rel=0.001)
    assert eighth.weights == pytest.approx(4 * PARAMETERS / 8 + gathered, rel=0.001)
    assert eighth.gradients <= 4 * PARAMETERS / 8 + gathered * 1.001


def test_four_bit_weights_are_cut_too() -> None:
    one, four = memory("qlora"), memory("qlora", gpus=4, strategy="fsdp")
    in_layers = one.weights - 2 * HEAD
    assert four.weights == pytest.approx(one.weights / 4 + 2 * HEAD + 2 / 32 * in_layers, rel=0.001)


@pytest.mark.parametrize("name", ["lora", "qlora", "full"])
def test_more_gpus_need_less_each_and_activations_stay(name: MethodName) -> None:
    estimates = [memory(name, gpus=gpus, strategy="fsdp") for gpus in (2, 4, 8, 64)]
    peaks = [estimate.peak_bytes for estimate in estimates]
    assert peaks == sorted(peaks, reverse=True)
    assert all(sum(one.parts().values()) == one.peak_bytes for one in estimates)
    assert all(one.band >= 0.15 for one in estimates)


def test_a_70b_model_in_four_bits_on_four_small_cards() -> None:
    method = MethodPlan("qlora", "sft", 16, 32, 0.0, "all-linear", rslora=False)
    each = estimate(LLAMA_70B, None, method, TRAIN, device="cuda", gpus=4, strategy="fsdp")
    assert each.peak_bytes < 22 << 30
