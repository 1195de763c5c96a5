"""The schedule of a run that was made longer, from what its folder says."""

from __future__ import annotations

from collections.abc import Sequence

from tui_ft.planning.plan import Plan
from tui_ft.recipe import Recipe
from tui_ft.runs.amendments import Amendment, amended
from tui_ft.training.arguments import update_steps, warmup_steps
from tui_ft.training.schedule import Schedule


def schedule(recipe: Recipe, plan: Plan, made: Sequence[Amendment], sequences: int) -> Schedule | None:
    """The schedule over all lengths the run has had; None for a run that was never extended.

    `recipe` and `plan` as they were at first; `sequences` counts training sequences after packing.
    """
    if not any(found.why == "extended" for found in made):
        return None
    first = update_steps(sequences, plan, recipe.train.max_steps)
    ends = [(0, first)]
    for index, found in enumerate(made):
        if found.why == "extended":
            longer, changed = amended(recipe, plan, made[: index + 1])
            ends.append((found.step, update_steps(sequences, changed, longer.train.max_steps)))
    return Schedule(plan.train.schedule, warmup_steps(plan.train, plan.steps, first), tuple(ends))
