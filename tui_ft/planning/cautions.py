"""What the user should read before starting: memory that is short, answers that are cut, limits and disk."""

from __future__ import annotations

from collections.abc import Iterator

from tui_ft.data.rows import DatasetReport
from tui_ft.planning.box import Box
from tui_ft.planning.choose import LENGTH_STEP, Job
from tui_ft.planning.memory import need
from tui_ft.planning.plan import Range
from tui_ft.planning.relief import ways_out
from tui_ft.planning.search import Option, Wish, best
from tui_ft.recipe import Recipe
from tui_ft.text import count, duration, gib, percent


def of_memory(wish: Wish, option: Option, job: Job) -> Iterator[str]:
    """Tight or too much, with the ways out."""
    box = wish.box
    kind = "GPU memory" if box.device == "cuda" else "memory"
    if box.total_is_assumed and box.memory_bytes is not None:
        yield f"The driver does not say how much {kind} is free; all {gib(box.memory_bytes)} are counted."
    if option.fits == "unknown":
        needed = gib(option.memory.peak_bytes)
        yield f"How much {kind} is free is unknown. The plan is the smallest one and needs {needed}."
    if option.fits not in ("tight", "wont_fit"):
        return
    low, high = need(option.memory, box.device)
    if option.fits == "tight":
        yield f"Tight: needs {gib(low)} to {gib(high)}, {gib(box.memory_bytes)} are free."
    else:
        yield f"Does not fit: needs at least {gib(low)}, {gib(box.memory_bytes)} are free."
    found = ways_out(wish, option, job)
    yield from found
    if not found and option.fits == "wont_fit":
        yield "No shorter length or smaller method helps. Choose a smaller model or more memory."


def of_cuts(wish: Wish, option: Option, report: DatasetReport) -> Iterator[str]:
    """Rows longer than the sequence: their answers lose their end."""
    length = option.train.seq_len
    if report.lengths is None:
        yield f"Row lengths are unknown without the model's tokenizer; rows above {length:,} tokens are cut."
        return
    cut = report.lengths.cut_at(length)
    if not cut:
        return
    longest = max(report.lengths.lengths)
    rows = f"{count(cut, 'row is', 'rows are')} longer than {length:,} tokens and would lose their end"
    text = f"{rows} ({percent(cut / len(report.lengths.lengths), digits=1)})."
    whole = -(-longest // LENGTH_STEP) * LENGTH_STEP
    kept = best(wish, option.method.name, whole)
    more = gib(max(0, kept.memory.peak_bytes - option.memory.peak_bytes))
    yield f"{text} Set train.seq_len = {whole} to keep all, {more} more; or remove the longest rows."


def of_cost(recipe: Recipe, box: Box, time_s: Range | None, money: Range | None, disk: int) -> Iterator[str]:
    """Limits that would end the run early, and a disk that is too small."""
    limits = recipe.limits
    if limits.max_hours and time_s and time_s.low > limits.max_hours * 3600:
        needed = duration(time_s.low)
        yield f"limits.max_hours: {limits.max_hours:g} h end the run early; it needs {needed} at least."
    if limits.max_cost and money and money.low > limits.max_cost:
        yield f"limits.max_cost: ${limits.max_cost:g} end the run early; it costs ${money.low:.2f} at least."
    if box.runs_free_bytes is not None and disk > box.runs_free_bytes:
        yield (
            f"The run may take {gib(disk)} of disk; where runs are kept, {gib(box.runs_free_bytes)} are free."
            " Free some, or choose another --home."
        )
