"""Other ways to do the same: safest, fastest, best quality, and what a larger GPU would buy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tui_ft.planning.box import of_card
from tui_ft.planning.case import Case
from tui_ft.planning.catalogue import Card, cards
from tui_ft.planning.choose import rounded
from tui_ft.planning.cost import at_price
from tui_ft.planning.memory import need
from tui_ft.planning.plan import FitPlan, LargerGpu, Plan, Range
from tui_ft.planning.relief import Changes, Decide, pinned, tried
from tui_ft.recipe import Recipe
from tui_ft.text import GIB, gib, percent

MOST = 3
FULL_IS_BETTER_FROM = 10_000  # rows; below, an adapter learns as well and forgets less
_METHODS = {"lora": "LoRA", "qlora": "QLoRA", "dora": "DoRA", "full": "full training"}
_ORDER = {"wont_fit": 0, "unknown": 1, "tight": 1, "safe": 2}
_QUALITY = {"qlora": 0, "lora": 1, "dora": 1, "full": 2}
_FAR = 4  # times the memory; beyond, a larger card is no neighbour
_SMALL_CARD = 12 * GIB
_CLEARLY = 0.9  # faster or smaller than this share of the plan


def alternatives(case: Case, recipe: Recipe, plan: Plan, decide: Decide) -> tuple[FitPlan, ...]:
    """Up to three other ways, each with what it takes and the changes of the recipe that lead to it.

    The ways are safest (least memory), fastest, best quality, and then the methods that were not named.
    What the plan already is, is left out.
    """
    found: list[FitPlan] = []
    seen = [_essence(plan)]

    def add(title: str, changes: Changes) -> None:
        then = tried(case, recipe, changes, decide)
        if then is None or (plan.fits == then.fits == "wont_fit" and _more(then, plan)):
            return
        if _essence(then) not in seen:
            seen.append(_essence(then))
            found.append(_row(case, plan, then, title, changes))

    for title, changes in _wanted(case, recipe, plan, decide):
        add(title, changes)
    for name in ("lora", "qlora", "full"):
        if len(found) < MOST and name not in {plan.method.name, *(row.method for row in found)}:
            add(_METHODS[name], {"method.name": name})
    return tuple(found)


def larger(case: Case, recipe: Recipe, plan: Plan, decide: Decide) -> LargerGpu | None:
    """What the next larger card of the catalogue that would buy something would buy; on a processor, a GPU.

    None when memory is unknown, and when more of it would change nothing worth having.
    """
    have = 0 if case.box.device == "cpu" else case.box.total_bytes or case.box.memory_bytes
    if have is None:
        return None
    for card in _sizes_above(have):
        if plan.fits == "safe" and card.memory_bytes > _FAR * max(have, _SMALL_CARD):
            return None
        then = tried(replace(case, box=of_card(card)), recipe, {}, decide)
        if then is None or then.fits != "safe":
            continue
        gains = list(_gains(case, plan, then))
        if not gains:
            continue
        price = Range(*card.price) if card.price else None
        paid = f", about {_dollars(price)}/h" if price else ""
        words = f"{card.memory_bytes / GIB:.0f} GiB ({card.short_name}): {', '.join(gains)}{paid}"
        return LargerGpu(
            card.short_name, card.memory_bytes, price, words, _row(case, plan, then, "larger GPU", {})
        )
    return None


def _wanted(case: Case, recipe: Recipe, plan: Plan, decide: Decide) -> Iterator[tuple[str, Changes]]:
    if plan.fits != "unknown":
        frugal: Changes = {"train.micro_batch": 1, "train.gradient_checkpointing": True}
        if pinned(recipe, "train.grad_accum"):
            frugal["train.grad_accum"] = plan.train.effective_batch // plan.train.gpus
        if plan.device == "cuda":
            frugal["method.name"] = "qlora"
        then = tried(case, recipe, frugal, decide)
        if then and then.memory.peak_bytes < _CLEARLY * plan.memory.peak_bytes:
            yield "safest", frugal
    fastest = _fastest(case, recipe, plan, decide)
    if fastest is not None:
        yield "fastest", fastest
    better = _better(case, recipe, plan, decide)
    if better is not None:
        yield "best quality", better


def _fastest(case: Case, recipe: Recipe, plan: Plan, decide: Decide) -> Changes | None:
    """What saves most time, if much: nothing slow pinned, LoRA, rows of the 95th percentile."""
    if plan.time_s is None:
        return None
    freed: Changes = dict.fromkeys(
        pinned(
            recipe, "train.micro_batch", "train.gradient_checkpointing", "train.optimizer", "train.packing"
        )
    )
    methods: list[Changes] = [{}] if plan.method.name == "lora" else [{}, {"method.name": "lora"}]
    lengths: list[Changes] = [{}]
    if case.lengths:
        short = rounded(case.lengths.percentile(0.95))
        lengths += [{"train.seq_len": short}] if short < plan.train.seq_len else []
    quickest, least = None, _CLEARLY * plan.time_s.high
    for changes in ({**freed, **method, **length} for length in lengths for method in methods):
        then = tried(case, recipe, changes, decide)
        if then and then.time_s and then.fits == "safe" and then.time_s.high < least:
            quickest, least = changes, 0.95 * then.time_s.high
    return quickest


def _better(case: Case, recipe: Recipe, plan: Plan, decide: Decide) -> Changes | None:
    """The first step up in quality that fits; else the one that comes nearest to fitting."""
    ladder: list[Changes] = []
    if case.report.sizes.train >= FULL_IS_BETTER_FROM and plan.method.name != "full":
        ladder.append({"method.name": "full"})
    whole: Changes = {}
    if case.lengths and case.lengths.cut(plan.train.seq_len):
        whole = {"train.seq_len": rounded(case.lengths.longest)}
    if plan.method.name == "qlora" and case.model.quantized is None:
        ladder += [{"method.name": "lora", **whole}, {"method.name": "lora"}]
    if whole:
        ladder.append(whole)
    if plan.fits != "wont_fit" and 0 < plan.method.rank < 128:
        ladder.append({"method.rank": 2 * plan.method.rank})
    nearest: tuple[int, Changes] | None = None
    for changes in ladder:
        then = tried(case, recipe, changes, decide)
        if then is None:
            continue
        if then.fits == "safe":
            return changes
        if nearest is None or then.memory.peak_bytes < nearest[0]:
            nearest = (then.memory.peak_bytes, changes)
    return nearest[1] if nearest else None


def _row(case: Case, plan: Plan, then: Plan, title: str, changes: Changes) -> FitPlan:
    train = then.train
    return FitPlan(
        method=then.method.name,
        rank=then.method.rank,
        seq=train.seq_len,
        micro_batch=train.micro_batch,
        grad_accum=train.grad_accum,
        gradient_checkpointing=train.gradient_checkpointing,
        optimizer=train.optimizer,
        precision=train.precision,
        peak_bytes=then.memory.peak_bytes,
        need_bytes=need(then.memory, then.device)[1],
        parts=then.memory.parts(),
        band=then.memory.band,
        fits=then.fits,
        reasons=tuple(differences(case, plan, then)),
        packing=train.packing,
        title=title,
        changes=changes,
        share_cut=case.lengths.share_cut(train.seq_len),
        steps=then.steps,
        time_s=then.time_s,
        money=money_of(then),
    )


def money_of(plan: Plan) -> Range | None:
    """Dollars at the price that was given, else at typical ones; None when there are none."""
    return plan.money or at_price(plan.time_s, plan.costs.price if plan.costs else None)


def differences(case: Case, plan: Plan, then: Plan) -> Iterator[str]:
    """What is other than in the plan, the most important first."""
    before, after = plan.train, then.train
    if then.method.name != plan.method.name:
        yield f"{_METHODS[then.method.name]} instead of {_METHODS[plan.method.name]}"
    if then.method.rank != plan.method.rank and then.method.rank and plan.method.rank:
        yield f"rank {then.method.rank} instead of {plan.method.rank}"
    if after.seq_len != before.seq_len:
        cut = case.lengths.share_cut(after.seq_len)
        rows = (
            "" if cut is None else f", cuts {percent(cut, digits=1)} of the rows" if cut else ", cuts no row"
        )
        yield f"{after.seq_len:,} tokens instead of {before.seq_len:,}{rows}"
    more = then.memory.peak_bytes - plan.memory.peak_bytes
    if more:
        yield f"{gib(abs(more))} {'more' if more > 0 else 'less'}"
    if plan.time_s and then.time_s:
        share = (then.time_s.low + then.time_s.high) / (plan.time_s.low + plan.time_s.high)
        if not 0.95 < share < 1.05:
            yield f"{share:.1f} times the time" if share > 1 else f"{percent(1 - share)} less time"
    if after.gradient_checkpointing != before.gradient_checkpointing:
        yield "recomputes activations" if after.gradient_checkpointing else "keeps activations"
    if after.packing != before.packing:
        yield "packs rows" if after.packing else "does not pack rows"


def _gains(case: Case, plan: Plan, then: Plan) -> Iterator[str]:
    """What the plan on the larger card has that this one has not."""
    before, after = (case.lengths.cut(length) for length in (plan.train.seq_len, then.train.seq_len))
    if _ORDER[then.fits] > _ORDER[plan.fits]:
        cut = case.lengths.share_cut(then.train.seq_len)
        yield f"it fits, cutting {percent(cut, digits=1)} of the rows" if after > before else "it fits"
    if _QUALITY[then.method.name] > _QUALITY[plan.method.name]:
        yield f"{_METHODS[then.method.name]} instead of {_METHODS[plan.method.name]}"
    if then.method.rank > plan.method.rank > 0:
        yield f"rank {then.method.rank} instead of {plan.method.rank}"
    if after < before:
        yield f"{before - after:,} more rows kept whole"
    if then.time_s and plan.time_s and then.time_s.high < _CLEARLY * plan.time_s.high:
        yield f"{percent(1 - then.time_s.high / plan.time_s.high)} less time"


def _sizes_above(have: int) -> Iterator[Card]:
    """One card for each larger memory: with a price if there is one, then the most common, the fastest."""
    bigger = sorted((card for card in cards() if card.bf16), key=lambda card: card.memory_bytes)
    least = 1.2 * have
    while group := [card for card in bigger if card.memory_bytes > least]:
        most = 1.1 * group[0].memory_bytes
        same = [card for card in group if card.memory_bytes <= most]
        yield max(same, key=lambda card: (card.price is not None, -_low(card), card.tflops or 0))
        least = most


def _more(then: Plan, plan: Plan) -> bool:
    return then.memory.peak_bytes >= plan.memory.peak_bytes


def _low(card: Card) -> float:
    return card.price[0] if card.price else 0.0


def _dollars(price: Range) -> str:
    return f"${price.low:.2f}" if price.low == price.high else f"${price.low:.2f}–{price.high:.2f}"


def _essence(plan: Plan) -> tuple[Any, ...]:
    train = plan.train
    return (
        plan.method.name,
        plan.method.rank,
        train.seq_len,
        train.packing,
        train.micro_batch,
        train.gradient_checkpointing,
        train.optimizer,
    )
