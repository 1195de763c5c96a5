"""What fits into a GPU's memory, by method: `tui-ft fit MODEL`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from textwrap import wrap
from typing import Any

from tui_ft.errors import InputError
from tui_ft.models.facts import ModelFacts
from tui_ft.planning.batches import Spread
from tui_ft.planning.box import Box, of_card, of_memory
from tui_ft.planning.catalogue import Card, get
from tui_ft.planning.choose import Job, alpha, rank
from tui_ft.planning.make import subject
from tui_ft.planning.plan import UNDECIDED, FitPlan, MethodPlan, Strategy
from tui_ft.planning.relief import longest_that_fits
from tui_ft.planning.search import Option, Target, Wish, best
from tui_ft.recipe import MethodName
from tui_ft.text import GIB, excerpt, gib, parameters

METHODS: tuple[MethodName, ...] = ("lora", "qlora", "full")
ROWS_PER_UPDATE = 16
LONGEST = 131_072  # sequences tried for "the longest that fits"
_SMALLEST_GIB, _LARGEST_GIB = 0.25, 2048
_WIDTH = 80
_STRATEGIES: tuple[Strategy, ...] = ("ddp", "fsdp")
_SHARING = {
    "single": "",
    "ddp": "every GPU holds a whole copy",
    "fsdp": "weights, gradients and optimizer states are cut into a part for each GPU",
}


@dataclass(frozen=True, slots=True)
class FitTable:
    """What fits: the best settings of each method, with several GPUs for both ways to share the work."""

    model_id: str
    parameters: int
    gpu: str
    memory_bytes: int  # of one GPU
    gpus: int
    seq: int
    plans: tuple[FitPlan, ...]
    longest: dict[MethodName, int]  # method -> tokens of the longest safe sequence; 0: not even 64 fit
    notes: tuple[str, ...] = ()

    @property
    def any_fits(self) -> bool:
        """At least one method is safe or tight."""
        return any(plan.fits in ("safe", "tight") for plan in self.plans)

    def to_json(self) -> dict[str, Any]:
        """`tui-ft fit --json`."""
        return asdict(self)


def fit(
    model: ModelFacts,
    vram_bytes: int | None = None,
    *,
    gpu: str | Card | None = None,
    seq: int = 2048,
    gpus: int = 1,
    box: Box | None = None,
) -> FitTable:
    """The best settings of each method on a GPU given by memory, by name, or as a box.

    Sequence in tokens, memory in bytes free on one GPU. For several GPUs there are two plans per method: a
    whole copy on each (DDP), and shards (FSDP); bytes are those of one GPU, see `shards`. Raises InputError
    for an unknown card, a length or memory that makes no sense, or a model of unknown size.
    """
    if seq < 8:
        raise InputError(f"a sequence of {seq} tokens is too short", where="--seq", fix="Give 8 or more.")
    if gpus < 1:
        raise InputError(f"{gpus} GPUs make no sense", where="--gpus", fix="Give 1 or more.")
    box = box or _box(None if vram_bytes is None else vram_bytes / GIB, gpu)
    wish = _wish(model, box, gpus)
    limit = min(LONGEST, model.context_length or LONGEST)
    shared: tuple[Strategy, ...] = _STRATEGIES if gpus > 1 else ("single",)
    plans = tuple(
        _plan(replace(wish, strategy=strategy), name, seq, limit) for name in METHODS for strategy in shared
    )
    return FitTable(
        model_id=model.id,
        parameters=wish.subject.size,
        gpu=box.name,
        memory_bytes=box.memory_bytes or 0,
        gpus=gpus,
        seq=seq,
        plans=plans,
        longest={name: max(plan.longest or 0 for plan in plans if plan.method == name) for name in METHODS},
        notes=tuple(_notes(wish, plans, seq, model, gpus)),
    )


def _plan(wish: Wish, name: MethodName, seq: int, limit: int) -> FitPlan:
    option = best(wish, Target(name, seq))
    found = longest_that_fits(wish, option, limit)
    longest = found.train.seq_len if found else 0
    reasons = _reasons(option, longest, wish)
    return option.row(wish.box.device, list(reasons), strategy=wish.strategy, longest=longest)


def other_box(gpu: str | None, vram_gib: float | None) -> Box | None:
    """The GPU that `--gpu` or `--vram` names; None for neither. Raises InputError like `fit`."""
    if gpu is None and vram_gib is None:
        return None
    return _box(vram_gib, gpu)


def _box(vram_gib: float | None, gpu: str | Card | None) -> Box:
    if gpu is not None:
        return of_card(gpu if isinstance(gpu, Card) else get(gpu))
    if vram_gib is None:
        raise InputError("which GPU?", where="fit", fix="Give --gpu NAME or --vram GIB.")
    if not _SMALLEST_GIB <= vram_gib <= _LARGEST_GIB:
        raise InputError(
            f"{vram_gib:g} GiB of GPU memory make no sense",
            where="--vram",
            fix="Give GiB, such as --vram 24.",
        )
    return of_memory(round(vram_gib * GIB))


def _wish(model: ModelFacts, box: Box, gpus: int) -> Wish:
    known = subject(model)
    job = Job("sft", 5_000, "long", known.size, model.context_length, Spread(), plain_text=False)
    usual = rank(job, "lora").value
    return Wish(
        subject=known,
        box=box,
        method=MethodPlan("lora", "sft", usual, alpha(usual).value, 0.0, "all-linear", rslora=False),
        train=UNDECIDED,
        rows_per_update=max(1, ROWS_PER_UPDATE // gpus),
        gpus=gpus,
    )


def _reasons(option: Option, longest: int, wish: Wish) -> Iterator[str]:
    free = gib(wish.box.memory_bytes)
    needed = gib(option.memory.peak_bytes) + (" on each GPU" if wish.gpus > 1 else "")
    words = {
        "safe": f"needs {needed} of {free}",
        "tight": f"needs {needed} of {free}; the allocator's overhead may not fit",
        "wont_fit": f"needs {needed}, {free} are there",
        "unknown": f"needs {needed}; free memory unknown",
    }
    yield words[option.fits]
    yield f"longest safe sequence {longest:,} tokens" if longest else "no sequence is short enough"
    if option.train.gradient_checkpointing:
        yield "recomputes activations: 20 to 30 % slower"
    if option.train.optimizer != "adamw":
        yield f"optimizer {option.train.optimizer}"
    if wish.gpus > 1:
        yield f"{wish.strategy.upper()}: {_SHARING[wish.strategy]}"
    yield f"peak at: {option.memory.peak_at}"


def _notes(wish: Wish, plans: Sequence[FitPlan], seq: int, model: ModelFacts, gpus: int) -> Iterator[str]:
    yield from best(wish, Target("lora", seq)).memory.assumptions[1:]
    if wish.box.device == "cuda" and wish.box.capability is None:
        yield "a card since 2020, which computes bf16"
    if model.context_length and seq > model.context_length:
        yield f"{seq:,} tokens are more than the {model.context_length:,} this model was made for"
    for plan in plans:
        if plan.optimizer.endswith("8bit"):
            where = ", states in main memory" if plan.optimizer.startswith("paged") else ""
            yield f"{_label(plan)}: optimizer {plan.optimizer}{where}"
    if gpus > 1:
        yield "figures are those of one GPU; micro-batch and accumulation are per GPU"
        yield f"ddp: {_SHARING['ddp']}; fsdp: {_SHARING['fsdp']}"
        yield "tui-ft itself trains on one GPU today; this tells what several would hold"


def fit_lines(table: FitTable, *, width: int = _WIDTH) -> list[str]:
    """The table as text, in lines of at most 80 characters."""
    several = f"{table.gpus} × " if table.gpus > 1 else ""
    head = f"{excerpt(table.model_id, 96)}, {parameters(table.parameters)} on {several}{table.gpu}"
    head += f", {gib(table.memory_bytes)}, sequences of {table.seq:,} tokens"
    notes = [line for note in table.notes for line in wrap(note, width - 2, subsequent_indent="  ")]
    return [
        *wrap(head, width, break_on_hyphens=False),
        "",
        *_aligned([_HEAD, *map(_verdict, table.plans)]),
        "",
        "GiB by part",
        *_aligned([_PARTS, *map(_by_part, table.plans)]),
        *([""] if notes else []),
        *(f"  {line}" for line in notes),
    ]


_HEAD = ("method", "verdict", "needs", "batch", "checkpointing", "longest")
_PARTS = ("", "weights", "adapters", "states", "gradients", "activations", "loss", "context")
_VERDICTS = {"safe": "SAFE", "tight": "TIGHT", "wont_fit": "WON'T FIT", "unknown": "UNKNOWN"}


def _label(plan: FitPlan) -> str:
    return plan.method if plan.strategy == "single" else f"{plan.method} {plan.strategy}"


def _verdict(plan: FitPlan) -> tuple[str, ...]:
    return (
        _label(plan),
        _VERDICTS[plan.fits],
        f"{plan.peak_bytes / GIB:.1f} GiB ±{plan.peak_bytes * plan.band / GIB:.1f}"
        + (" verified" if plan.verified else ""),
        f"{plan.micro_batch} × {plan.grad_accum}",
        "on" if plan.gradient_checkpointing else "off",
        f"{plan.longest:,}" if plan.longest else "-",
    )


def _by_part(plan: FitPlan) -> tuple[str, ...]:
    return (_label(plan), *(f"{size / GIB:.1f}" for size in plan.parts.values()))


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
