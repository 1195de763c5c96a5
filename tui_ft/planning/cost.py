"""Time and money of a plan, by part of the work. Time is a range from measured rates, or unknown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tui_ft.models.facts import Dims
from tui_ft.planning import anatomy, calibration
from tui_ft.planning.box import Box
from tui_ft.planning.catalogue import prices_as_of
from tui_ft.planning.plan import Cost, Costs, MethodPlan, Price, Range, TrainPlan

# Share of a card's dense 16-bit rate that training reached with very many tokens at once, by parameters:
# fms-acceleration on A100 (1B to 70B), LLaMA-Factory on A100, Answer.AI on RTX 3090 and 4090 (7B), PEFT's
# suite on L40S (3B). See docs/planning.md.
_UTILISATION = ((30e9, Range(0.50, 0.75)), (5e9, Range(0.41, 0.75)), (1e9, Range(0.22, 0.65)))
_SMALL = Range(0.05, 0.50)
# Tokens at once at which half of that is reached: LLaMA-Factory's series from 1k to 16k tokens says 400;
# half and twice that, since it is one model on one card.
_HALF_RATE = Range(200, 800)
# Seconds a layer of a micro-batch takes at least, however few its tokens: Python starts its kernels one by
# one. Qwen's README, A100, one row at once: 4.7 (LoRA) to 12 ms (quantised, full).
_LAUNCH_S = Range(2e-3, 12e-3)
_UNMEASURED = 0.6  # the low end on generations nobody has published a run of: Hopper, Blackwell
# FLOP/s of one core, measured with SmolLM2-135M: LoRA and full in fp32, LoRA in bf16, QLoRA in bf16.
_CORE_FP32, _CORE_BF16, _CORE_NF4_BF16 = 0.06e12, 0.115e12, 0.088e12
_CORE_LOW, _CORE_HIGH = 0.45, 1.1  # older or shared cores; newer ones
_START_S = Range(10.0, 60.0)  # importing and loading besides reading the weights
_READ_BYTES_S = Range(0.3e9, 2e9)
_SAVE_BYTES_S = Range(0.1e9, 1e9)  # written, hashed and flushed; 0.28e9 was measured
# A token of every answer on a GPU: at best the weights are read once; at most that thrice, or this for each
# layer where Python is what takes the time. Nobody measured it here.
_LAYER_S = 2.5e-3
_ANSWER_ROWS = 64  # answered at once


@dataclass(frozen=True, slots=True)
class Work:
    """What there is to compute, in tokens as the device sees them: padding included."""

    train_tokens: float  # all epochs
    eval_tokens: float  # all evaluations
    row_tokens: float  # mean length of a row of the attention matrix
    passes: float = 1.0  # over the training rows
    evaluations: int = 0


@dataclass(frozen=True, slots=True)
class Answers:
    """The final evaluation: rows that base and tuned model answer each."""

    rows: int
    row_tokens: float  # mean length of a row, the expected answer included
    answer_tokens: float  # mean length of an expected answer; 0 where there is none, as in plain text
    limit: int  # longest answer allowed


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds by part, and what they rest on. All None when nothing was measured."""

    training: Range | None
    evaluation: Range | None
    one_more_epoch: Range | None
    basis: str

    @property
    def run(self) -> Range | None:
        """Training with its evaluations."""
        return added(self.training, self.evaluation)


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
    box: Box,
    dims: Dims,
    parameters: int,
    active: float,
    method: MethodPlan,
    train: TrainPlan,
    work: Work,
    *,
    checkpoint_bytes: int = 0,
) -> tuple[Range | None, str]:
    """Seconds of the whole run as a range, and what the estimate rests on. None when nothing was measured."""
    taken = spent(box, dims, parameters, active, method, train, work, checkpoint_bytes=checkpoint_bytes)
    return taken.run, taken.basis


def spent(
    box: Box,
    dims: Dims,
    parameters: int,
    active: float,
    method: MethodPlan,
    train: TrainPlan,
    work: Work,
    *,
    checkpoint_bytes: int = 0,
) -> Spent:
    """Seconds of a run by part, as `time` takes it; `checkpoint_bytes` is the size of one checkpoint."""
    rate, basis = _rate(box, active, method, train, work.row_tokens)
    if rate is None:
        return Spent(None, None, None, basis)
    per_token = flops_per_token(dims, active, method, train, work.row_tokens)
    forward = forward_share(method, train)
    floor = _launching(box, dims, train, work.row_tokens)
    steps = _slower(_over(per_token * work.train_tokens, rate), floor, work.train_tokens)
    evaluation = _slower(
        _over(per_token * forward * work.eval_tokens, rate), floor, forward * work.eval_tokens
    )
    saving = _saving(steps, train, work, checkpoint_bytes)
    training = Range(steps.low + saving.low, steps.high + saving.high)
    share = 1 / max(work.passes, 1e-9)
    epoch = Range((training.low + evaluation.low) * share, (training.high + evaluation.high) * share)
    started = added(training, _loading(parameters))
    return Spent(started, evaluation, epoch, basis)


def answering(
    box: Box,
    dims: Dims,
    parameters: int,
    active: float,
    method: MethodPlan,
    train: TrainPlan,
    answers: Answers,
    weight_bytes: int,
) -> Range | None:
    """Seconds in which base and tuned model answer the unseen rows and are scored on them; None when unknown.

    Prompts and losses are computed like training without a backward pass. On a GPU an answer costs a read
    of the weights a token, 64 rows at once; on a processor its FLOPs. At best answers are as long as the
    expected ones, at most three times that, within the limit.
    """
    rate, _ = _rate(box, active, method, train, answers.row_tokens)
    if rate is None or not answers.rows:
        return None
    shortest = answers.answer_tokens
    longest = min(float(answers.limit), 3 * shortest + 16) if shortest else 0.0
    forward = 2 * active + 2 * dims.layers * dims.q_size * answers.row_tokens
    read = answers.rows * (2 * answers.row_tokens - shortest)  # once for the loss, once as a prompt
    seconds = _over(forward * read, rate)
    if box.device == "cpu":
        said = Range(
            forward * shortest / rate.high * answers.rows, forward * longest / rate.low * answers.rows
        )
    elif box.bandwidth_gb_s is None:
        return None
    else:
        batches = -(-answers.rows // _ANSWER_ROWS)
        reading = weight_bytes / (box.bandwidth_gb_s * 1e9)
        slowest = max(3 * reading, dims.layers * _LAYER_S)
        said = Range(batches * shortest * reading, batches * longest * slowest)
    twice = Range(2 * (seconds.low + said.low), 2 * (seconds.high + said.high))
    return added(twice, _loading(parameters))


def itemised(taken: Spent, final: Range | None, price: Price | None, notes: tuple[str, ...] = ()) -> Costs:
    """Every part in time and money. Exports are unknown: measured for one small model on a processor only."""

    def part(seconds: Range | None) -> Cost:
        return Cost(seconds, at_price(seconds, price))

    return Costs(
        price=price,
        training=part(taken.training),
        evaluation=part(taken.evaluation),
        one_more_epoch=part(taken.one_more_epoch),
        final_evaluation=part(final),
        export=part(None),
        whole=part(added(taken.run, final) if taken.run and final else taken.run),
        notes=(*notes, *_notes(taken, final, price)),
    )


def price_of(box: Box, per_hour: float) -> Price | None:
    """The user's price where there is one, else what such a box typically costs; None when nobody knows."""
    if per_hour > 0:
        return Price(per_hour, per_hour, typical=False)
    if box.price is not None:
        return Price(*box.price, typical=True, as_of=prices_as_of())
    return None


def money(time_s: Range | None, price_per_hour: float) -> Range | None:
    """Dollars for the whole run; None without a time or a price."""
    return at_price(
        time_s, Price(price_per_hour, price_per_hour, typical=False) if price_per_hour > 0 else None
    )


def at_price(time_s: Range | None, price: Price | None) -> Range | None:
    """Dollars from the shortest time at the lowest price to the longest at the highest."""
    if time_s is None or price is None:
        return None
    return Range(time_s.low / 3600 * price.low, time_s.high / 3600 * price.high)


def added(first: Range | None, second: Range | None) -> Range | None:
    """The sum; None when either is unknown."""
    if first is None or second is None:
        return None
    return Range(first.low + second.low, first.high + second.high)


def _rate(
    box: Box, active: float, method: MethodPlan, train: TrainPlan, row_tokens: float
) -> tuple[Range | None, str]:
    """FLOP/s from low to high, and their basis. What was measured here goes before what others did."""
    own = calibration.rate(box.measured, method, train, active)
    if own is not None:
        return own
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
            shares, basis = measured, "published runs on A100, RTX 3090, RTX 4090 and L40S"
            break
    at_once = _at_once(train, row_tokens)
    low = shares.low * at_once / (at_once + _HALF_RATE.high)
    high = shares.high * at_once / (at_once + _HALF_RATE.low)
    if box.capability >= (9, 0):
        low, basis = low * _UNMEASURED, f"{basis}; carried over to this generation"
    return Range(low * box.tflops * 1e12, high * box.tflops * 1e12), basis


def _at_once(train: TrainPlan, row_tokens: float) -> float:
    """Tokens of a micro-batch. Packed rows lie in one long one already."""
    return max(1.0, row_tokens * (1 if train.packing else train.micro_batch))


def _over(flops: float, rate: Range) -> Range:
    return Range(flops / rate.high, flops / rate.low)


def _launching(box: Box, dims: Dims, train: TrainPlan, row_tokens: float) -> Range:
    """Seconds a token takes at least, for what happens once for each layer of a micro-batch."""
    if box.device == "cpu":
        return Range(0, 0)
    layers = dims.layers / _at_once(train, row_tokens)
    return Range(_LAUNCH_S.low * layers, _LAUNCH_S.high * layers)


def _slower(seconds: Range, floor: Range, tokens: float) -> Range:
    return Range(max(seconds.low, floor.low * tokens), max(seconds.high, floor.high * tokens))


def _loading(parameters: int) -> Range:
    weight_bytes = 2.0 * parameters
    return Range(
        _START_S.low + weight_bytes / _READ_BYTES_S.high, _START_S.high + weight_bytes / _READ_BYTES_S.low
    )


def _saving(steps: Range, train: TrainPlan, work: Work, checkpoint_bytes: int) -> Range:
    """Checkpoints by the clock and at the end; at most one more at each evaluation, as the best so far."""
    by_clock = Range(*(seconds / (60 * train.save_every_minutes) for seconds in (steps.low, steps.high)))
    return Range(
        (by_clock.low + 1) * checkpoint_bytes / _SAVE_BYTES_S.high,
        (by_clock.high + 1 + work.evaluations) * checkpoint_bytes / _SAVE_BYTES_S.low,
    )


def _notes(taken: Spent, final: Range | None, price: Price | None) -> Iterator[str]:
    if taken.run is not None and final is None:
        yield "the final evaluation is not counted: nothing is known of it here"
    if taken.run is not None:
        yield "exports and the download are not counted"
    if price is not None and price.typical:
        yield f"typical prices of {price.as_of}, not what this box costs"
