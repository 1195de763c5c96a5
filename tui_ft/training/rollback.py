"""Back to before a gradient was NaN, with half the learning rate."""

from __future__ import annotations

from tui_ft.planning.plan import Plan
from tui_ft.recipe import Recipe
from tui_ft.runs import changes, checkpoints
from tui_ft.runs.changes import LEARNING_RATE, Change
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.reporter import Reporter
from tui_ft.text import count

MOST = 2  # times; a run that still breaks at a quarter of the rate has another trouble


class GoBack(Exception):
    """The gradient of the step after `step` is not finite, and the recipe lets the run go back."""

    def __init__(self, what: str, step: int) -> None:
        self.what = what
        self.step = step
        super().__init__(what)


def possible(folder: RunFolder, recipe: Recipe, step: int) -> bool:
    """Whether going back is wanted and can help. Before the first update no learning rate can."""
    wanted = recipe.train.on_nan == "rollback"
    return wanted and step > 0 and changes.rollbacks(changes.read(folder)) < MOST


def go_back(folder: RunFolder, plan: Plan, reporter: Reporter, failed: GoBack) -> int:
    """Journal half the rate from the newest checkpoint before the trouble on; returns its step, 0 for none.

    The weights of `failed.step` itself give that gradient whatever the rate, so its checkpoint is no help:
    it and later ones are set aside.
    """
    saved = checkpoints.listed(folder)
    kept = max((found.step for found in saved if found.step < failed.step), default=0)
    before = changes.in_force(changes.read(folder))
    rate = changes.at(before, failed.step).get(LEARNING_RATE, plan.train.learning_rate) / 2
    changes.append(folder, Change(kept, {LEARNING_RATE: rate}, rollback=True))
    for found in saved:
        if found.step > kept:
            checkpoints.set_aside(folder, found.path.name, as_="left")
    again = changes.rollbacks(changes.read(folder))
    where = f"step {kept:,}" if kept else "the start"
    reporter.alert(
        "rolled-back",
        "warning",
        f"{failed.what[:1].upper()}{failed.what[1:]}; the run goes back to {where} with half the learning "
        f"rate, {rate:.1e}. {count(MOST - again, 'more attempt')} like this.",
        "If it happens again, look for rows that are damaged or very unlike the others.",
        step=failed.step + 1,
    )
    return kept
