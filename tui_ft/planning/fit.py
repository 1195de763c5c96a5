"""What fits into a GPU's memory, by method: `tui-ft fit MODEL`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tui_ft.errors import InputError
from tui_ft.models.facts import ModelFacts
from tui_ft.planning.box import Box, of_card, of_memory
from tui_ft.planning.catalogue import Card, get
from tui_ft.planning.choose import Job, alpha, rank
from tui_ft.planning.make import subject
from tui_ft.planning.plan import FitPlan, MethodPlan, TrainPlan
from tui_ft.planning.relief import longest_that_fits
from tui_ft.planning.search import Option, Wish, best
from tui_ft.recipe import MethodName
from tui_ft.text import GIB, gib, parameters

METHODS: tuple[MethodName, ...] = ("lora", "qlora", "full")
ROWS_PER_UPDATE = 16
LONGEST = 131_072  # sequences tried for "the longest that fits"
_SMALLEST, _LARGEST = GIB // 4, 2048 * GIB


@dataclass(frozen=True, slots=True)
class FitTable:
    """What fits: one plan per method, the best settings each, with the longest sequence that is safe."""

    model_id: str
    parameters: int
    gpu: str
    memory_bytes: int  # of one GPU
    gpus: int
    seq: int
    plans: tuple[FitPlan, ...]
    longest: dict[MethodName, int]  # method -> tokens; 0 when not even 64 fit
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

    Sequence in tokens, memory in bytes free on one GPU. Several GPUs hold a whole copy each (DDP). Raises
    InputError for an unknown card, a length or memory that makes no sense, or a model of unknown size.
    """
    if seq < 8:
        raise InputError(f"a sequence of {seq} tokens is too short", where="--seq", fix="Give 8 or more.")
    if gpus < 1:
        raise InputError(f"{gpus} GPUs make no sense", where="--gpus", fix="Give 1 or more.")
    box = box or _box(vram_bytes, gpu)
    wish = _wish(model, box, gpus)
    options = [best(wish, name, seq) for name in METHODS]
    limit = min(LONGEST, model.context_length or LONGEST)
    longest = {option.method.name: _longest(wish, option, limit) for option in options}
    plans = tuple(
        option.row(box.device, list(_reasons(option, longest[option.method.name], box))) for option in options
    )
    return FitTable(
        model_id=model.id,
        parameters=wish.subject.size,
        gpu=box.name,
        memory_bytes=box.memory_bytes or 0,
        gpus=gpus,
        seq=seq,
        plans=plans,
        longest=longest,
        notes=tuple(_notes(wish, seq, model, gpus)),
    )


def _box(vram_bytes: int | None, gpu: str | Card | None) -> Box:
    if gpu is not None:
        return of_card(gpu if isinstance(gpu, Card) else get(gpu))
    if vram_bytes is None:
        raise InputError("which GPU?", where="fit", fix="Give --gpu NAME or --vram GIB.")
    if not _SMALLEST <= vram_bytes <= _LARGEST:
        raise InputError(
            f"{gib(vram_bytes)} of GPU memory make no sense",
            where="--vram",
            fix="Give GiB, such as --vram 24.",
        )
    return of_memory(vram_bytes)


def _wish(model: ModelFacts, box: Box, gpus: int) -> Wish:
    known = subject(model)
    job = Job("sft", 5_000, "long", known.size, model.context_length, (), 0, plain_text=False)
    usual = rank(job, "lora").value
    return Wish(
        subject=known,
        box=box,
        method=MethodPlan("lora", "sft", usual, alpha(usual).value, 0.0, "all-linear", rslora=False),
        train=TrainPlan(
            epochs=1,
            learning_rate=2e-4,
            schedule="cosine",
            warmup_steps=0,
            weight_decay=0,
            micro_batch=1,
            grad_accum=1,
            seq_len=2048,
            packing=False,
            gradient_checkpointing=True,
            optimizer="adamw",
            precision="bf16",
            loss_on="answers",
            max_grad_norm=1,
            seed=42,
            early_stopping=0,
            eval_every=1,
            save_every_minutes=10,
            keep_checkpoints=2,
        ),
        rows_per_update=max(1, ROWS_PER_UPDATE // gpus),
        gpus=gpus,
    )


def _longest(wish: Wish, option: Option, limit: int) -> int:
    found = longest_that_fits(wish, option, limit)
    return found.train.seq_len if found else 0


def _reasons(option: Option, longest: int, box: Box) -> Iterator[str]:
    free = gib(box.memory_bytes)
    needed = gib(option.memory.peak_bytes)
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
    yield f"peak at: {option.memory.peak_at}"


def _notes(wish: Wish, seq: int, model: ModelFacts, gpus: int) -> Iterator[str]:
    memory = best(wish, "lora", seq).memory
    yield from memory.assumptions[1:]
    if wish.box.device == "cuda" and wish.box.capability is None:
        yield "a card since 2020, which computes bf16"
    if model.context_length and seq > model.context_length:
        yield f"{seq:,} tokens are more than the {model.context_length:,} this model was made for"
    if gpus > 1:
        yield f"each of {gpus} GPUs holds a whole copy; micro-batch and accumulation are per GPU"


def fit_lines(table: FitTable) -> list[str]:
    """The table as text for the command line."""
    head = f"{table.model_id}, {parameters(table.parameters)} on {table.gpu}, {gib(table.memory_bytes)}"
    rows = [("method", "verdict", "needs", "batch", "checkpointing", "longest")]
    words = {"safe": "SAFE", "tight": "TIGHT", "wont_fit": "WON'T FIT", "unknown": "UNKNOWN"}
    for plan in table.plans:
        longest = table.longest[plan.method]
        rows.append(
            (
                plan.method,
                words[plan.fits],
                f"{plan.peak_bytes / GIB:.1f} GiB ±{plan.peak_bytes * plan.band / GIB:.1f}",
                f"{plan.micro_batch} × {plan.grad_accum}",
                "on" if plan.gradient_checkpointing else "off",
                f"{longest:,}" if longest else "-",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return [f"{head}, sequences of {table.seq:,} tokens", "", *lines, *(f"  {note}" for note in table.notes)]
