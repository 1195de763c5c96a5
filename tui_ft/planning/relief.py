"""The cheapest steps that make a plan fit, each tried out before it is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from tui_ft.errors import InputError
from tui_ft.models import catalogue
from tui_ft.planning.case import Case
from tui_ft.planning.choose import LENGTH_STEP, rounded
from tui_ft.planning.plan import Fit, Plan, Step
from tui_ft.planning.record import Record
from tui_ft.planning.search import Option, Target, Wish, best
from tui_ft.recipe import Recipe
from tui_ft.text import gib, parameters, percent

Decide = Callable[[Case, Recipe], Plan]
Fits = Callable[[Case, Recipe], Fit]
Changes = dict[str, Any]

MOST = 4  # steps that are named
_PINS = ("train.micro_batch", "train.gradient_checkpointing", "train.optimizer")


def steps(case: Case, recipe: Recipe, plan: Plan, decide: Decide, fits: Fits) -> tuple[Step, ...]:
    """What would make this plan safe, cheapest in quality first; () when nothing would.

    Leaving settings to the plan and cutting no row cost nothing, 4 bits little, a cut answer more, a smaller
    model most. Applying `changes` to the recipe gives the plan that was tried.
    """
    found: list[Step] = []
    for changes in _candidates(case, recipe, plan, fits):
        if len(found) == MOST:
            break
        if any(_covers(case, step, changes) for step in found) or _fit(case, recipe, changes, fits) != "safe":
            continue
        then = tried(case, recipe, changes, decide)
        if then is not None:
            found.append(_step(case, plan, then, changes))
    return tuple(found)


def _covers(case: Case, step: Step, changes: Changes) -> bool:
    """True when `changes` alter more than the step does and cut no row less."""
    cut = case.lengths.share_cut(changes["train.seq_len"]) if "train.seq_len" in changes else None
    return step.changes.keys() <= changes.keys() and (step.share_cut or 0) <= (cut or 0)


def tried(case: Case, recipe: Recipe, changes: Mapping[str, Any], decide: Decide) -> Plan | None:
    """The plan after these changes; None when they cannot be. A changed model is one of the catalogue."""
    try:
        return decide(_case(case, changes), recipe.with_values(changes))
    except InputError:
        return None


def _fit(case: Case, recipe: Recipe, changes: Mapping[str, Any], fits: Fits) -> Fit:
    """Whether it fits after these changes; what cannot be does not fit."""
    try:
        return fits(_case(case, changes), recipe.with_values(changes))
    except InputError:
        return "wont_fit"


def _case(case: Case, changes: Mapping[str, Any]) -> Case:
    listed = catalogue.find(changes["model.id"]) if "model.id" in changes else None
    return replace(case, model=listed.facts()) if listed else case


def pinned(recipe: Recipe, *keys: str) -> list[str]:
    """Those of the keys that the user wrote a value of their own for."""
    record = Record(recipe)
    return [key for key in keys if record.pinned(key)]


def longest_that_fits(wish: Wish, option: Option, limit: int) -> Option | None:
    """The longest sequence up to `limit` that is safe with this method; None when not even 64 tokens are."""

    def at(steps: int) -> Option:
        name, rank = option.method.name, option.method.rank or None
        return best(wish, Target(name, steps * LENGTH_STEP, option.train.packing, rank))

    found = _last_safe(max(1, limit // LENGTH_STEP), lambda steps: at(steps).fits == "safe")
    return at(found) if found else None


def _candidates(case: Case, recipe: Recipe, plan: Plan, fits: Fits) -> Iterator[Changes]:
    """Changes to try, cheapest first."""
    pins = pinned(recipe, *_PINS)
    if recipe.train.packing == "on":
        pins.append("train.packing")
    free: Changes = dict.fromkeys(pins)
    whole: Changes = {}
    if case.lengths and rounded(case.lengths.longest) < plan.train.seq_len:
        whole = {"train.seq_len": rounded(case.lengths.longest)}
        yield whole
    for key in pins:
        yield {key: None}
    if free:
        yield free
    if whole:
        yield {**free, **whole}
    less = {"full": ["lora", "qlora"], "lora": ["qlora"], "dora": ["lora", "qlora"], "qlora": []}
    smaller = less[plan.method.name]
    for name in smaller:
        for besides in ({}, whole, free, {**free, **whole}):
            yield {"method.name": name, **besides}
    if pinned(recipe, "method.rank") and plan.method.rank > 1:
        yield {"method.rank": plan.method.rank // 2}
    yield from _shorter(case, recipe, plan, {}, fits)
    yield from _shorter(case, recipe, plan, {**free, **({"method.name": "qlora"} if smaller else {})}, fits)
    yield from _smaller_models(case, recipe, fits)


def _shorter(case: Case, recipe: Recipe, plan: Plan, base: Changes, fits: Fits) -> Iterator[Changes]:
    """The longest sequence that is safe with these changes."""

    def safe(length: int) -> bool:
        return _fit(case, recipe, {**base, "train.seq_len": length * LENGTH_STEP}, fits) == "safe"

    found = _last_safe((plan.train.seq_len - 1) // LENGTH_STEP, safe)
    if found:
        yield {**base, "train.seq_len": found * LENGTH_STEP}


def _smaller_models(case: Case, recipe: Recipe, fits: Fits) -> Iterator[Changes]:
    """The largest model of the catalogue that is smaller and safe."""
    size = case.model.parameters or 0
    for listed in reversed(catalogue.SUGGESTIONS):
        changes = {"model.id": listed.id}
        if listed.parameters < 0.9 * size and _fit(case, recipe, changes, fits) == "safe":
            yield changes
            return


def _last_safe(most: int, safe: Callable[[int], bool]) -> int:
    """The largest number from 1 to `most` that is safe, where smaller ones are too; 0 when none is."""
    low, high = 1, most
    while low <= high:
        middle = (low + high) // 2
        if safe(middle):
            low = middle + 1
        else:
            high = middle - 1
    return low - 1


def _step(case: Case, plan: Plan, then: Plan, changes: Changes) -> Step:
    saved = plan.memory.peak_bytes - then.memory.peak_bytes
    cut = case.lengths.share_cut(then.train.seq_len)
    costs = [f"needs {gib(then.memory.peak_bytes)}"]
    if "train.seq_len" in changes:
        costs = [f"saves {gib(saved)}"]
        if cut is not None:
            costs.insert(0, f"cuts {percent(cut, digits=1)} of the rows" if cut else "cuts no row")
    if listed := catalogue.find(changes.get("model.id", "")):
        costs.insert(0, f"{parameters(listed.parameters)} parameters")
    said = " and ".join(_said(plan, changes))
    words = f"{said[0].upper()}{said[1:]}: {', '.join(costs)}."
    return Step(changes, words, then.memory.peak_bytes, saved, cut)


def _said(plan: Plan, changes: Changes) -> Iterator[str]:
    """The changes as a person would make them."""
    if "model.id" in changes:
        yield f"choose a smaller model, {changes['model.id']}"
    if "method.name" in changes:
        yield f'set method.name = "{changes["method.name"]}"'
    if "method.rank" in changes:
        yield f"set method.rank = {changes['method.rank']}"
    if "train.seq_len" in changes:
        yield f"set train.seq_len = {changes['train.seq_len']} instead of {plan.train.seq_len}"
    left_out = [key for key, value in changes.items() if value is None]
    if left_out:
        yield f"leave out {' and '.join(left_out)}"
