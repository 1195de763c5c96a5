"""Trying settings against the memory there is: the best that fits, by method and length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tui_ft.models.facts import Dims
from tui_ft.planning import choose
from tui_ft.planning.anatomy import count, family
from tui_ft.planning.batches import padded_tokens
from tui_ft.planning.box import Box
from tui_ft.planning.memory import Device, estimate, judge, need
from tui_ft.planning.plan import Fit, FitPlan, MemoryEstimate, MethodPlan, Optimizer, Precision, TrainPlan
from tui_ft.recipe import MethodName

_FITS: dict[Fit, int] = {"wont_fit": 0, "unknown": 1, "tight": 1, "safe": 2}
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
    lengths: Sequence[int] = ()  # ascending
    scored: float = 1.0
    packing: bool = False
    gpus: int = 1
    micro_batch: int | None = None
    grad_accum: int | None = None
    gradient_checkpointing: bool | None = None
    optimizer: Optimizer | None = None
    precision: Precision | None = None


@dataclass(frozen=True, slots=True)
class Option:
    """One way to train, with what it needs."""

    method: MethodPlan
    train: TrainPlan
    memory: MemoryEstimate
    fits: Fit
    speed: float  # relative

    def row(self, device: Device, reasons: Sequence[str] = ()) -> FitPlan:
        """As a row of a table."""
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
        )

    @property
    def rank(self) -> tuple[int, float]:
        """Greater is better: fits first, then speed; among those that don't fit, or may not, the smallest."""
        known = self.fits in ("safe", "tight")
        return (_FITS[self.fits], self.speed if known else -float(self.memory.peak_bytes))


def options(wish: Wish, name: MethodName, seq_len: int) -> Iterator[Option]:
    """Every setting left open for one method and length."""
    method = for_method(wish.method, name)
    precision = wish.precision or choose.precision(wish.box, name).value
    optimizers = [wish.optimizer] if wish.optimizer else [c.value for c in choose.optimizer(name, wish.box)]
    pinned = wish.gradient_checkpointing
    checkpointing = [False, True] if pinned is None else [pinned]
    for micro_batch, grad_accum in _batches(wish, seq_len):
        for gradient_checkpointing in checkpointing:
            for optimizer in optimizers:
                train = replace(
                    wish.train,
                    micro_batch=micro_batch,
                    grad_accum=grad_accum,
                    seq_len=seq_len,
                    packing=wish.packing,
                    gradient_checkpointing=gradient_checkpointing,
                    optimizer=optimizer,
                    precision=precision,
                )
                yield weigh(wish, method, train)


def weigh(wish: Wish, method: MethodPlan, train: TrainPlan) -> Option:
    """One setting with its memory, whether it fits, and its relative speed."""
    memory = estimate(
        wish.subject.dims,
        wish.subject.parameters,
        method,
        train,
        device=wish.box.device,
        model_type=wish.subject.model_type,
        scored=wish.scored,
        guessed_dims=wish.subject.guessed_dims,
        gpus=wish.gpus,
    )
    fits = judge(memory, wish.box.memory_bytes, wish.box.device)
    return Option(method, train, memory, fits, _speed(wish, train))


def best(wish: Wish, name: MethodName, seq_len: int) -> Option:
    """The fastest setting that fits; the smallest when none does."""
    return max(options(wish, name, seq_len), key=lambda option: option.rank)


def first_that_fits(wish: Wish, names: Sequence[MethodName], lengths: Sequence[int]) -> Option:
    """The first method and length, in the order given, that is safe; else a tight one; else the smallest.

    Lengths weigh more than methods: a whole answer in QLoRA is worth more than a cut one in LoRA.
    """
    found = [best(wish, name, length) for length in lengths for name in names]
    for level in ("safe", "tight", "unknown"):
        for option in found:
            if option.fits == level:
                return option
    return min(found, key=lambda option: option.memory.peak_bytes)


def for_method(method: MethodPlan, name: MethodName) -> MethodPlan:
    """The settings under another method: full training has no adapter."""
    if name == "full":
        return replace(method, name=name, rank=0, alpha=0, dropout=0.0)
    return replace(method, name=name)


def _batches(wish: Wish, seq_len: int) -> list[tuple[int, int]]:
    """(micro-batch, accumulation) pairs that keep the rows per update, smallest micro-batch first."""
    updates = sequences_per_update(wish, seq_len)
    if wish.micro_batch and wish.grad_accum:
        return [(wish.micro_batch, wish.grad_accum)]
    if wish.micro_batch:
        return [(wish.micro_batch, max(1, round(updates / wish.micro_batch)))]
    if wish.grad_accum:
        return [(size, wish.grad_accum) for size in _powers(max(1, updates // wish.grad_accum))]
    if wish.packing:  # one packed sequence is a full batch, and attention grows with the square of more
        return [(1, updates)]
    return [(size, max(1, round(updates / size))) for size in _powers(updates)]


def _powers(limit: int) -> list[int]:
    return [1 << exponent for exponent in range(limit.bit_length())]


def sequences_per_update(wish: Wish, seq_len: int) -> int:
    """Rows per update as sequences: fewer when several rows are packed into one."""
    if not wish.packing or not wish.lengths:
        return wish.rows_per_update
    mean = sum(min(length, seq_len) for length in wish.lengths) / len(wish.lengths)
    return max(1, round(wish.rows_per_update * mean / seq_len))


def _speed(wish: Wish, train: TrainPlan) -> float:
    mean = sum(wish.lengths) / len(wish.lengths) if wish.lengths else float(train.seq_len)
    per_row = float(train.seq_len)
    if wish.lengths and not train.packing:
        per_row = padded_tokens(wish.lengths, train.micro_batch)
    useful = 1.0 if train.packing else mean / per_row
    tokens = per_row * train.micro_batch
    speed = useful * tokens / (tokens + _HALF_SPEED[wish.box.device]) * _OPTIMIZER_SPEED[train.optimizer]
    return speed * (_CHECKPOINTING_SPEED if train.gradient_checkpointing else 1.0)
