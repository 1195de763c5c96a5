"""Trying settings against the memory there is: the best that fits, by quality first, then by speed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple

from tui_ft.models.facts import Dims
from tui_ft.planning import calibration, choose
from tui_ft.planning.anatomy import count, family
from tui_ft.planning.batches import Spread
from tui_ft.planning.box import Box
from tui_ft.planning.memory import Device, estimate, judge, need
from tui_ft.planning.plan import (
    Fit,
    FitPlan,
    MemoryEstimate,
    MethodPlan,
    Optimizer,
    Precision,
    Strategy,
    TrainPlan,
)
from tui_ft.recipe import MethodName

# Tokens at once at which a device runs at half its speed, and what the alternatives cost in speed.
_HALF_SPEED = {"cuda": 1024, "cpu": 32}
_CHECKPOINTING_SPEED = 0.75  # a second forward pass: 20 to 30 % slower
_OPTIMIZER_SPEED = {"adamw": 1.0, "paged_adamw_32bit": 1.0, "adamw_8bit": 0.98, "paged_adamw_8bit": 0.85}


@dataclass(frozen=True, slots=True)
class Subject:
    """The model, as the search sees it."""

    dims: Dims
    parameters: int | None
    model_type: str
    guessed_dims: bool = False

    @property
    def size(self) -> int:
        """Number of parameters: exact, or counted from the layers."""
        return self.parameters or count(self.dims, family(self.model_type)).total


@dataclass(frozen=True, slots=True)
class Wish:
    """What is settled before the search, and what the user pinned (None is open).

    `method` and `train` carry the settled values; the search replaces the rest.
    """

    subject: Subject
    box: Box
    method: MethodPlan
    train: TrainPlan
    rows_per_update: int
    lengths: Spread = field(default_factory=Spread)
    scored: float = 1.0
    gpus: int = 1
    strategy: Strategy = "ddp"  # of several GPUs
    rank: int | None = None
    alpha: int | None = None
    micro_batch: int | None = None
    grad_accum: int | None = None
    gradient_checkpointing: bool | None = None
    optimizer: Optimizer | None = None
    precision: Precision | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """What decides quality, and whether rows are packed; the search finds the fastest settings for it."""

    name: MethodName
    seq_len: int
    packing: bool = False
    rank: int | None = None  # None: the wish's


@dataclass(frozen=True, slots=True)
class Option:
    """One way to train, with what it needs."""

    method: MethodPlan
    train: TrainPlan
    memory: MemoryEstimate
    fits: Fit

    def row(self, device: Device, reasons: Sequence[str] = (), **rest: object) -> FitPlan:
        """As a row of a table; `rest` are further fields of `FitPlan`."""
        return FitPlan(
            method=self.method.name,
            rank=self.method.rank,
            seq=self.train.seq_len,
            micro_batch=self.train.micro_batch,
            grad_accum=self.train.grad_accum,
            gradient_checkpointing=self.train.gradient_checkpointing,
            optimizer=self.train.optimizer,
            precision=self.train.precision,
            peak_bytes=self.memory.peak_bytes,
            need_bytes=need(self.memory, device)[1],
            parts=self.memory.parts(),
            band=self.memory.band,
            fits=self.fits,
            reasons=tuple(reasons),
            packing=self.train.packing,
            **rest,  # type: ignore[arg-type]
        )


def best(wish: Wish, target: Target) -> Option:
    """The fastest settings that are safe; else the fastest that are tight; else the smallest.

    When even the smallest cannot fit nothing else is looked at.
    """
    method, start = for_method(wish, target), _start(wish, target)

    def option(setting: _Setting) -> Option:
        return weigh(wish, method, replace(start, **setting._asdict()))

    settings = list(_settings(wish, target))
    smallest = option(min(settings, key=_frugality))
    if smallest.fits in ("wont_fit", "unknown"):
        return smallest
    tight: Option | None = None
    for setting in sorted(settings, key=lambda setting: _speed(wish, target, setting), reverse=True):
        found = option(setting)
        if found.fits == "safe":
            return found
        if found.fits == "tight" and tight is None:
            tight = found
    return tight or smallest


def first_that_fits(
    wish: Wish, names: Sequence[MethodName], lengths: Sequence[Sequence[tuple[int, bool]]]
) -> Option:
    """The first target that is safe; else the first tight one; else what needs least of the best quality.

    `lengths` come in groups (tokens, packed) that keep equally many rows whole, best first. They weigh more
    than methods, a whole answer in QLoRA being worth more than a cut one in LoRA; methods weigh more than
    halving the rank; inside a group the first wins. With more memory a target only becomes better, so the
    choice does too.
    """
    found: list[Option] = []
    for target in _targets(wish, names, lengths):
        option = best(wish, target)
        if option.fits == "safe":
            return option
        found.append(option)
    for level in ("tight", "unknown"):
        for option in found:
            if option.fits == level:
                return option
    (length, packing), rank = lengths[0][0], wish.method.rank
    whole = [
        option
        for option in found
        if (option.train.seq_len, option.train.packing) == (length, packing)
        and option.method.rank in (0, rank)
    ]
    return min(whole, key=lambda option: option.memory.peak_bytes)


def weigh(wish: Wish, method: MethodPlan, train: TrainPlan) -> Option:
    """One setting with its memory and whether it fits."""
    box = wish.box
    memory = _memory(wish.subject, method, train, box.device, wish.scored, wish.gpus, wish.strategy)
    if box.measured:
        memory = calibration.apply(memory, box.measured, method, train, wish.subject.size)
    return Option(method, train, memory, judge(memory, box.memory_bytes, box.device))


def for_method(wish: Wish, target: Target) -> MethodPlan:
    """The settings under this method and rank: full training has no adapter."""
    if target.name == "full":
        return replace(wish.method, name="full", rank=0, alpha=0, dropout=0.0)
    rank = target.rank or wish.method.rank
    return replace(wish.method, name=target.name, rank=rank, alpha=wish.alpha or choose.alpha(rank).value)


def sequences_per_update(wish: Wish, target: Target) -> int:
    """Rows per update as sequences: fewer when several rows are packed into one."""
    if not target.packing or not wish.lengths:
        return wish.rows_per_update
    mean = wish.lengths.mean(target.seq_len)
    return max(1, round(wish.rows_per_update * mean / target.seq_len))


@lru_cache(maxsize=8192)
def _memory(
    subject: Subject,
    method: MethodPlan,
    train: TrainPlan,
    device: Device,
    scored: float,
    gpus: int,
    strategy: Strategy,
) -> MemoryEstimate:
    return estimate(
        subject.dims,
        subject.parameters,
        method,
        train,
        device=device,
        model_type=subject.model_type,
        scored=scored,
        guessed_dims=subject.guessed_dims,
        gpus=gpus,
        strategy=strategy,
    )


def _targets(
    wish: Wish, names: Sequence[MethodName], lengths: Sequence[Sequence[tuple[int, bool]]]
) -> Iterator[Target]:
    for group in lengths:
        for name in names:
            ranks = choose.ranks(wish.method.rank, last=name == names[-1])
            if wish.rank or name == "full":
                ranks = ranks[:1]
            for rank in ranks:
                for seq_len, packing in group:
                    yield Target(name, seq_len, packing, rank)


class _Setting(NamedTuple):
    """What changes speed and memory but not what is learned."""

    micro_batch: int
    grad_accum: int
    gradient_checkpointing: bool
    optimizer: Optimizer


def _start(wish: Wish, target: Target) -> TrainPlan:
    """[train] for a target, to be completed by a setting."""
    precision = wish.precision or choose.precision(wish.box, target.name).value
    return replace(wish.train, seq_len=target.seq_len, packing=target.packing, precision=precision)


def _settings(wish: Wish, target: Target) -> Iterator[_Setting]:
    """Every setting left open for one target."""
    optimizers = [choice.value for choice in choose.optimizer(target.name, wish.box)]
    if wish.gpus > 1 and wish.strategy == "fsdp":
        optimizers = ["adamw"]  # bitsandbytes' optimizers do not take sharded tensors
    pinned = wish.gradient_checkpointing
    for micro_batch, grad_accum in _batches(wish, target):
        for gradient_checkpointing in [False, True] if pinned is None else [pinned]:
            for optimizer in [wish.optimizer] if wish.optimizer else optimizers:
                yield _Setting(micro_batch, grad_accum, gradient_checkpointing, optimizer)


def _frugality(setting: _Setting) -> tuple[int, bool, float]:
    """Smallest for the setting that needs least: few rows at once, checkpointing, the slowest optimizer."""
    return (setting.micro_batch, not setting.gradient_checkpointing, _OPTIMIZER_SPEED[setting.optimizer])


def _batches(wish: Wish, target: Target) -> list[tuple[int, int]]:
    """(micro-batch, accumulation) pairs that keep the rows per update, smallest micro-batch first."""
    updates = sequences_per_update(wish, target)
    if wish.micro_batch and wish.grad_accum:
        return [(wish.micro_batch, wish.grad_accum)]
    if wish.micro_batch:
        return [(wish.micro_batch, max(1, round(updates / wish.micro_batch)))]
    if wish.grad_accum:
        return [(size, wish.grad_accum) for size in _powers(max(1, updates // wish.grad_accum))]
    if target.packing:  # one packed sequence is a full batch, and attention grows with the square of more
        return [(1, updates)]
    return [(size, max(1, round(updates / size))) for size in _powers(updates)]


def _powers(limit: int) -> list[int]:
    return [1 << exponent for exponent in range(limit.bit_length())]


def _speed(wish: Wish, target: Target, setting: _Setting) -> float:
    """Relative speed of learning: useful tokens, less what few tokens at once, padding and the rest cost."""
    per_row, useful = float(target.seq_len), 1.0
    if wish.lengths and not target.packing:
        per_row = wish.lengths.padded(target.seq_len, setting.micro_batch)
        useful = wish.lengths.mean(target.seq_len) / per_row
    tokens = per_row * setting.micro_batch
    speed = useful * tokens / (tokens + _HALF_SPEED[wish.box.device]) * _OPTIMIZER_SPEED[setting.optimizer]
    return speed * (_CHECKPOINTING_SPEED if setting.gradient_checkpointing else 1.0)
