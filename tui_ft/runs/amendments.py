"""Changes of a run's plan that hold from a resume on: longer, or in smaller pieces after memory ran out.

plan.json stays as it was planned. The journal says what came later, so that every resume does the same.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from tui_ft.errors import InputError
from tui_ft.files import disk_problem, sync_folder
from tui_ft.planning.plan import Plan
from tui_ft.recipe import Recipe
from tui_ft.runs.folder import RunFolder

Why = Literal["memory", "extended"]

MICRO_BATCH, GRAD_ACCUM = "train.micro_batch", "train.grad_accum"
EPOCHS, MAX_STEPS = "train.epochs", "train.max_steps"
MOST_HALVINGS = 3


@dataclass(frozen=True, slots=True)
class Amendment:
    """New values by recipe key. `step` is that of the checkpoint from which they hold, 0 the start."""

    step: int
    why: Why
    values: Mapping[str, Any]
    time: float = field(default_factory=time.time)


def journal(folder: RunFolder) -> Path:
    """The file, one JSON object per line."""
    return folder.path / "amendments.jsonl"


def append(folder: RunFolder, amendment: Amendment) -> None:
    """Add one; it is on the disk when this returns. Raises EnvironmentProblem when the disk refuses."""
    path = journal(folder)
    entry = {
        "t": round(amendment.time, 3),
        "step": amendment.step,
        "why": amendment.why,
        "values": dict(amendment.values),
    }
    try:
        with path.open("ab") as file:
            # On a line of its own, even when a writer was killed in the middle of one.
            file.write(b"\n" * bool(file.tell()) + json.dumps(entry, allow_nan=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        sync_folder(folder.path)
    except OSError as error:
        raise disk_problem(error, path) from error


def read(folder: RunFolder) -> tuple[Amendment, ...]:
    """Every amendment, oldest first. Lines that are none are passed over."""
    try:
        lines = journal(folder).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    return tuple(found for line in lines if (found := _parse(line)) is not None)


def amended(recipe: Recipe, plan: Plan, amendments: Iterable[Amendment]) -> tuple[Recipe, Plan]:
    """Recipe and plan with everything that was changed since."""
    for amendment in amendments:
        recipe = recipe.with_values(amendment.values)
        changed = {
            key.removeprefix("train."): value
            for key, value in amendment.values.items()
            if key in (MICRO_BATCH, GRAD_ACCUM, EPOCHS)
        }
        plan = replace(plan, train=replace(plan.train, **changed))
    return recipe, plan


def halved(micro_batch: int, grad_accum: int) -> dict[str, int] | None:
    """Half the rows at once or fewer, with exactly as many for each update; None when it is one already."""
    smaller = [size for size in range(1, micro_batch // 2 + 1) if micro_batch % size == 0]
    if not smaller:
        return None
    return {MICRO_BATCH: smaller[-1], GRAD_ACCUM: grad_accum * micro_batch // smaller[-1]}


def halvings(amendments: Iterable[Amendment]) -> int:
    """How often memory ran out and the run went on in smaller pieces."""
    return sum(found.why == "memory" for found in amendments)


def extension(folder: RunFolder, values: Mapping[str, Any], step: int) -> Amendment:
    """A longer run, by epochs or by steps. Raises InputError when it would not be longer."""
    recipe, plan = amended(folder.read_recipe(), folder.read_plan(), read(folder))
    by_steps = recipe.train.max_steps > 0
    key = MAX_STEPS if by_steps else EPOCHS
    if set(values) != {key}:
        unit = "steps" if by_steps else "epochs"
        raise InputError(
            f"the length of this run is given in {unit}",
            where=", ".join(sorted(set(values) - {key}) or sorted(values)),
            fix=f"Extend it with --set {key}=….",
        )
    checked = recipe.with_values(values)
    now: float = recipe.train.max_steps if by_steps else plan.train.epochs
    wanted: float = (checked.train.max_steps if by_steps else checked.train.epochs) or 0
    if wanted <= now:
        raise InputError(
            f"this run is planned for {now:g} already, so {wanted:g} would not make it longer",
            where=key,
            fix=f"Give more than {now:g}; to end it sooner use `tui-ft stop {folder.id}`.",
        )
    return Amendment(step, "extended", {key: wanted})


def _parse(line: str) -> Amendment | None:
    try:
        entry = json.loads(line)
        step, why, values, moment = entry["step"], entry["why"], entry["values"], entry["t"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    known = isinstance(step, int) and why in get_args(Why) and isinstance(values, dict)
    return Amendment(step, why, values, float(moment)) if known and isinstance(moment, int | float) else None
