"""Time, money and disk of a plan. Time is a range from measured rates; without any there is none."""

from __future__ import annotations

from dataclasses import dataclass

from tui_ft.models.facts import Dims
from tui_ft.planning import anatomy
from tui_ft.planning.activations import numbers
from tui_ft.planning.box import Box
from tui_ft.planning.memory import adapter_weights
from tui_ft.planning.plan import MethodPlan, Range, TrainPlan

# Share of a card's dense 16-bit rate that training reached, by parameters: fms-acceleration on A100 (1B-70B,
# 4,096 tokens), PEFT's suite on L40S (3B), Answer.AI on RTX 4090 (7B). See docs/planning.md.
_UTILISATION = ((30e9, Range(0.50, 0.70)), (5e9, Range(0.40, 0.65)), (1e9, Range(0.25, 0.60)))
_SMALL = Range(0.05, 0.45)
_UNMEASURED = 0.6  # the low end on generations nobody has published a run of: Hopper, Blackwell
# FLOP/s of one core, measured with SmolLM2-135M: LoRA and full in fp32, LoRA in bf16, QLoRA in bf16.
_CORE_FP32, _CORE_BF16, _CORE_NF4_BF16 = 0.06e12, 0.115e12, 0.088e12
_CORE_LOW, _CORE_HIGH = 0.45, 1.1  # older or shared cores; newer ones
_START_S = (10.0, 60.0)  # importing, loading and saving besides reading the weights
_READ_BYTES_S = (2e9, 0.3e9)

_GGUF_BYTES = {"gguf:f16": 2.0, "gguf:q8_0": 34 / 32, "gguf:q4_k_m": 0.62, "ollama": 0.62}  # per weight
_SMALL_FILES = 20_000_000  # tokenizer, config and state of one checkpoint


@dataclass(frozen=True, slots=True)
class Work:
    """What there is to compute, in tokens as the device sees them: padding included."""

    train_tokens: float  # all epochs
    eval_tokens: float  # all evaluations
    row_tokens: float  # mean length of a row of the attention matrix


def active_weights(dims: Dims, parameters: int | None, model_type: str) -> float:
    """Weights that a token passes: no embedding, and of the experts only those it visits."""
    weights = anatomy.count(dims, anatomy.family(model_type), parameters)
    experts = weights.experts * dims.experts_per_token / dims.experts if dims.experts else 0
    return weights.linear + experts + dims.vocab * dims.hidden


def flops_per_token(
    dims: Dims, active: float, method: MethodPlan, train: TrainPlan, row_tokens: float
) -> float:
    """FLOPs per token: 2 per weight forward, 2 for the gradients of activations, 2 for those of weights.

    Adapters spare the last; checkpointing repeats the forward. Attention is not spared anything.
    """
    forward = 2 * active
    attention = 2 * dims.layers * dims.q_size * row_tokens * (2 if train.packing else 1)
    again = 1 if train.gradient_checkpointing else 0
    weights = 3 if method.name == "full" else 2
    pairs = 1.5 if method.objective in ("dpo", "kto") else 1.0  # the reference's forward pass
    return ((weights + again) * forward + (3 + again) * attention) * pairs


def forward_share(method: MethodPlan, train: TrainPlan) -> float:
    """Cost of evaluating a token over the cost of training on it."""
    return 1 / ((3 if method.name == "full" else 2) + (1 if train.gradient_checkpointing else 0))


def time(
    box: Box, dims: Dims, parameters: int, active: float, method: MethodPlan, train: TrainPlan, work: Work
) -> tuple[Range | None, str]:
    """Seconds of the whole run as a range, and what the estimate rests on. None when nothing was measured."""
    rate, basis = _rate(box, active, method, train)
    if rate is None:
        return None, basis
    per_token = flops_per_token(dims, active, method, train, work.row_tokens)
    flops = per_token * (work.train_tokens + work.eval_tokens * forward_share(method, train))
    weight_bytes = 2.0 * parameters
    low = flops / rate.high + _START_S[0] + weight_bytes / _READ_BYTES_S[0]
    high = flops / rate.low + _START_S[1] + weight_bytes / _READ_BYTES_S[1]
    return Range(low, high), basis


def _rate(box: Box, active: float, method: MethodPlan, train: TrainPlan) -> tuple[Range | None, str]:
    """FLOP/s from low to high, and their basis."""
    if box.device == "cpu":
        core = _CORE_FP32
        if train.precision == "bf16" and box.cpu_bf16:
            core = _CORE_NF4_BF16 if method.name == "qlora" else _CORE_BF16
        low = core * _CORE_LOW * box.cores**0.8
        return Range(low, core * _CORE_HIGH * box.cores), "SmolLM2-135M on one core, scaled by cores"
    if box.tflops is None or box.capability is None:
        return None, "the rate of this GPU is not in the catalogue"
    if box.capability < (8, 0):
        return None, "no run on this generation of GPUs has been published"
    shares, basis = _SMALL, "larger models on A100; below 1B nobody measured, so the range is wide"
    for least, measured in _UTILISATION:
        if active >= least:
            shares, basis = measured, "published runs on A100, RTX 4090 and L40S"
            break
    low, high = shares.low, shares.high
    if box.capability >= (9, 0):
        low, basis = low * _UNMEASURED, f"{basis}; carried over to this generation"
    return Range(low * box.tflops * 1e12, high * box.tflops * 1e12), basis


def money(time_s: Range | None, price_per_hour: float) -> Range | None:
    """Dollars for the whole run; None without a time or a price."""
    if time_s is None or price_per_hour <= 0:
        return None
    return Range(time_s.low / 3600 * price_per_hour, time_s.high / 3600 * price_per_hour)


def disk(
    dims: Dims,
    parameters: int,
    model_type: str,
    method: MethodPlan,
    train: TrainPlan,
    exports: list[str],
    tokens: int,
) -> int:
    """Bytes a run may take: checkpoints with optimizer states, adapter or weights, exports, prepared rows."""
    formats = numbers(method.name, train.precision)
    full = method.name == "full"
    trained = parameters if full else adapter_weights(dims, anatomy.family(model_type), method)
    weights = trained * formats.trained
    states = trained * (2 if train.optimizer.endswith("8bit") else 2 * formats.trained)
    checkpoint = weights + states + _SMALL_FILES
    checkpoints = (train.keep_checkpoints + 2) * checkpoint  # the best one, and one being written
    gguf = [_GGUF_BYTES[name] for name in exports if name in _GGUF_BYTES]
    if gguf and 2.0 not in gguf:
        gguf.append(2.0)  # quantised from 16 bits
    merged = bool(gguf) or any(name in ("merged", "vllm", "hub") for name in exports)
    exported = (2 * parameters if merged else 0) + sum(gguf) * parameters
    return round(checkpoints + weights + exported + tokens * 16)
