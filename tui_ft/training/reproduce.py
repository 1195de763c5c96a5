"""Training a run once more and holding the two against each other. Light: torch is the new run's affair."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tui_ft.data import prepare as preparing
from tui_ft.errors import InputError
from tui_ft.runs import amendments, changes
from tui_ft.runs.events import EventReader
from tui_ft.runs.folder import RunFolder, create
from tui_ft.runs.terms import Difference
from tui_ft.settings import Home
from tui_ft.training import lock

Verdict = Literal["identical", "rounding", "differs"]

ROUNDING = 1e-3  # of a loss; kernels that add in changing order stay well below it for some hundred steps
# What follows a run, or sends it somewhere, is not repeated.
_NOT_AGAIN = ("limits", "notify", "track")


@dataclass(frozen=True, slots=True)
class Curves:
    """Losses by step, as they were in the end: steps that were done again after a resume count once."""

    train: Mapping[int, float | None]
    validation: Mapping[int, float | None]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two curves over the steps both have. Differences are absolute; None where nothing is common."""

    steps: int
    evaluations: int
    train: float | None
    train_at: int | None
    validation: float | None
    verdict: Verdict
    differs_from: int | None = None  # first step that differs by more than rounding

    @property
    def words(self) -> str:
        """One sentence."""
        if self.verdict == "identical":
            return f"identical over {self.steps:,} steps and {self.evaluations:,} evaluations"
        most = f"the train loss by at most {self.train or 0:.2g}"
        if self.validation is not None:
            most += f", the validation loss by at most {self.validation:.2g}"
        if self.verdict == "rounding":
            return f"the same up to rounding over {self.steps:,} steps: {most}"
        if not self.steps:
            return "there is no step that both have"
        return f"differs from step {self.differs_from or 0:,} on: {most}"


def ingredients(run: RunFolder, device: str) -> tuple[Difference, ...]:
    """What is not as it was when the run began; see lock.differences. Raises InputError without a lock."""
    found = list(lock.differences(run, device))
    if amendments.read(run):
        found.append(
            Difference("the run itself", "was changed while it ran", "begins with the last settings")
        )
    return tuple(found)


def again(home: Home, run: RunFolder) -> RunFolder:
    """A new run from the recipe, the plan and the journal of changes of another.

    The rows are prepared anew where their sources are there; else the prepared ones are taken over, when they
    are those of the lock. Raises InputError when neither can be.
    """
    recipe, plan = run.read_recipe(), run.read_plan()
    document = {key: value for key, value in recipe.document().items() if key not in _NOT_AGAIN}
    from tui_ft import recipe as recipes

    fresh = create(home, recipes.parse(document), plan, recipe_text="", recipe_base=run.path)
    if not lock.sources_are_there(run):
        if preparing.load(run.data) is None or not lock.prepared_is_locked(run):
            raise InputError("neither the data nor the prepared rows of this run are left", where=run.id)
        shutil.copytree(run.data, fresh.data)
    if changes.journal(run).exists():
        shutil.copy2(changes.journal(run), changes.journal(fresh))
    return fresh


def curves(run: RunFolder) -> Curves:
    """The losses of a run from its events."""
    train: dict[int, float | None] = {}
    validation: dict[int, float | None] = {}
    for event in EventReader(run.events).read():
        step = event.get("step")
        if event["kind"] == "start" and event.get("job", "train") == "train":
            kept = event.get("resumed_from") or 0
            for series in (train, validation):
                for later in [known for known in series if known > kept]:
                    del series[later]
        elif event["kind"] == "step" and isinstance(step, int):
            train[step] = event.get("loss")
        elif event["kind"] == "eval" and isinstance(step, int):
            validation[step] = event.get("eval_loss")
    return Curves(train, validation)


def compare(then: Curves, now: Curves, *, steps: int = 0) -> Comparison:
    """Hold two curves against each other, over the first `steps` steps or all. Every step has to be there."""
    trained, evaluated = (
        {step: (a[step], b[step]) for step in a if step in b and (not steps or step <= steps)}
        for a, b in ((then.train, now.train), (then.validation, now.validation))
    )
    until = steps or max(then.train, default=0)
    missing = [step for step in then.train if step <= until and step not in now.train]
    wrong = [
        step for series in (trained, evaluated) for step, (was, found) in series.items() if _off(was, found)
    ]
    differs_from = min([*wrong, *missing], default=None)
    train = {step: _gap(*pair) for step, pair in trained.items()}
    validation = [_gap(*pair) for pair in evaluated.values()]
    same = all(a == b for series in (trained, evaluated) for a, b in series.values())
    verdict: Verdict = "identical" if same else "rounding"
    if differs_from is not None or not trained:
        verdict = "differs"
    return Comparison(
        steps=len(trained),
        evaluations=len(evaluated),
        train=max(train.values(), default=None),
        train_at=max(train, key=lambda step: train[step], default=None),
        validation=max(validation, default=None),
        verdict=verdict,
        differs_from=differs_from,
    )


def _off(was: float | None, found: float | None) -> bool:
    if was is None or found is None:
        return was is not found
    return abs(was - found) > ROUNDING * max(1.0, abs(was))


def _gap(was: float | None, found: float | None) -> float:
    return 0.0 if was is None or found is None else abs(was - found)


def document(run: RunFolder, original: RunFolder, found: Comparison) -> dict[str, Any]:
    """The object `tui-ft reproduce --json` prints, without what differed beforehand."""
    return {
        "run": run.id,
        "dir": str(run.path),
        "original": original.id,
        "verdict": found.verdict,
        "words": found.words,
        "steps": found.steps,
        "evaluations": found.evaluations,
        "max_loss_difference": found.train,
        "max_loss_difference_at": found.train_at,
        "max_eval_loss_difference": found.validation,
        "differs_from": found.differs_from,
    }
