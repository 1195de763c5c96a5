"""What the user should read before starting: memory that is short, answers that are cut, limits."""

from __future__ import annotations

from collections.abc import Iterator

from tui_ft.planning.box import Box
from tui_ft.planning.choose import rounded
from tui_ft.planning.memory import need
from tui_ft.planning.plan import Plan, Range, Step
from tui_ft.planning.search import Option, Target, Wish, best
from tui_ft.recipe import Recipe
from tui_ft.text import count, duration, gib, percent


def of_memory(box: Box, plan: Plan, relief: tuple[Step, ...]) -> Iterator[str]:
    """Tight or too much, with the ways out."""
    if box.gpus > 1 and plan.train.gpus == 1:
        several = f'train.gpus = "all" lets {box.alike} train together.' if box.alike > 1 else ""
        yield f"This box has {box.gpus} GPUs. A run uses one of them. {several}".rstrip()
    kind = "GPU memory" if box.device == "cuda" else "memory"
    if box.total_is_assumed and box.memory_bytes is not None:
        yield f"The driver does not say how much {kind} is free; all {gib(box.memory_bytes)} are counted."
    if plan.fits == "unknown":
        needed = gib(plan.memory.peak_bytes)
        yield f"How much {kind} is free is unknown. The plan is the smallest one and needs {needed}."
    if plan.fits not in ("tight", "wont_fit"):
        return
    low, high = need(plan.memory, box.device)
    if plan.fits == "tight":
        yield f"Tight: needs {gib(low)} to {gib(high)}, {gib(box.memory_bytes)} are free."
    else:
        yield f"Does not fit: needs at least {gib(low)}, {gib(box.memory_bytes)} are free."
    for step in relief:
        yield step.words
    if not relief and plan.fits == "wont_fit":
        yield "No shorter length or smaller method helps. Choose a smaller model or more memory."


def of_cuts(wish: Wish, option: Option) -> Iterator[str]:
    """Rows longer than the sequence: their answers lose their end."""
    length, lengths = option.train.seq_len, wish.lengths
    if not lengths:
        yield f"Row lengths are unknown without the model's tokenizer; rows above {length:,} tokens are cut."
        return
    cut = lengths.cut(length)
    if not cut:
        return
    rows = f"{count(cut, 'row is', 'rows are')} longer than {length:,} tokens and would lose their end"
    text = f"{rows} ({percent(lengths.share_cut(length), digits=1)})."
    whole = rounded(lengths.longest)
    target = Target(option.method.name, whole, option.train.packing, option.method.rank)
    more = gib(max(0, best(wish, target).memory.peak_bytes - option.memory.peak_bytes))
    yield f"{text} Set train.seq_len = {whole} to keep all, {more} more; or remove the longest rows."


def of_limits(recipe: Recipe, time_s: Range | None, money: Range | None) -> Iterator[str]:
    """Limits that would end the run early."""
    limits = recipe.limits
    if limits.max_hours and time_s and time_s.low > limits.max_hours * 3600:
        needed = duration(time_s.low)
        yield f"limits.max_hours: {limits.max_hours:g} h end the run early; it needs {needed} at least."
    if limits.max_cost and money and money.low > limits.max_cost:
        yield f"limits.max_cost: ${limits.max_cost:g} end the run early; it costs ${money.low:.2f} at least."
