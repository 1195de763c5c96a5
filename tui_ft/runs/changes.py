"""Settings changed while a run trains: a journal in its folder, so that a resumed run changes them anew.

A change takes effect when its `step` steps are done. A run that is killed and goes on from an earlier
checkpoint comes to that step again and does the same there.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_ft.errors import InputError, Problem
from tui_ft.files import disk_problem
from tui_ft.recipe import Recipe, value_from_text
from tui_ft.runs.folder import RunFolder
from tui_ft.text import excerpt, nearest

LEARNING_RATE = "train.learning_rate"
EVAL_EVERY = "train.eval_every"
SAVE_EVERY = "train.save_every_minutes"
CHANGEABLE = (
    LEARNING_RATE,
    EVAL_EVERY,
    SAVE_EVERY,
    "limits.price_per_hour",
    "limits.max_hours",
    "limits.max_cost",
    "limits.deadline",
)


@dataclass(frozen=True, slots=True)
class Change:
    """New values by recipe key, from the end of `step` on. `rollback`: the run went back to `step`."""

    step: int
    values: Mapping[str, Any]
    rollback: bool = False


def journal(folder: RunFolder) -> Path:
    """The file of a run's changes, one JSON object per line."""
    return folder.path / "changes.jsonl"


def append(folder: RunFolder, change: Change) -> None:
    """Add a change; it is on the disk when this returns. Raises EnvironmentProblem when the disk refuses."""
    path = journal(folder)
    entry = {"step": change.step, "values": dict(change.values), "rollback": change.rollback}
    try:
        with path.open("ab+") as file:
            # A writer that was killed may have left half a line.
            if file.tell() and not _ends_a_line(path):
                file.write(b"\n")
            file.write(json.dumps(entry, allow_nan=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise disk_problem(error, path) from error


def read(folder: RunFolder) -> tuple[Change, ...]:
    """Every change, in the order they were asked for. Lines that are none are passed over."""
    try:
        lines = journal(folder).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    return tuple(change for line in lines if (change := _parse(line)) is not None)


def in_force(changes: Iterable[Change]) -> tuple[Change, ...]:
    """The changes a run that starts or goes on now makes, by step.

    What was asked for last counts: it takes back what was to change in the same settings at a later step,
    as it stands there when a run has gone back.
    """
    kept: list[Change] = []
    for change in changes:
        kept = [
            _without(earlier, change.values) if earlier.step > change.step else earlier for earlier in kept
        ]
        kept.append(change)
    return tuple(sorted((change for change in kept if change.values), key=lambda change: change.step))


def at(changes: Iterable[Change], step: int) -> dict[str, Any]:
    """The values in force once `step` steps are done."""
    values: dict[str, Any] = {}
    for change in changes:
        if change.step <= step:
            values |= change.values
    return values


def latest(folder: RunFolder) -> dict[str, Any]:
    """The values that count in the end, harmless to show: those to come are among them."""
    values = at(in_force(read(folder)), sys.maxsize)
    return {
        excerpt(str(key)): excerpt(value) if isinstance(value, str) else value
        for key, value in values.items()
        if isinstance(value, int | float | str)
    }


def rollbacks(changes: Iterable[Change]) -> int:
    """How often the run went back."""
    return sum(change.rollback for change in changes)


def checked(recipe: Recipe, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, each of a key that may change in a running training and within the recipe's bounds.

    Raises InputError that lists every problem.
    """
    problems = [_not_changeable(key) for key in values if key not in CHANGEABLE]
    problems += [Problem("needs a value", key) for key in values if key in CHANGEABLE and values[key] is None]
    every = values.get(EVAL_EVERY, 1)
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        problems.append(Problem("should be a whole number of steps from 1 on", EVAL_EVERY))
    if problems:
        raise InputError(problems)
    changed = recipe.with_values(values).document()
    return {key: changed[key.partition(".")[0]][key.partition(".")[2]] for key in values}


def from_texts(recipe: Recipe, texts: Sequence[str]) -> dict[str, Any]:
    """`KEY=VALUE` texts as checked values. Raises InputError that lists every problem."""
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for text in texts:
        key, equals, value = (part.strip() for part in text.partition("="))
        if equals:
            values[key] = value_from_text(key, value)
        else:
            problems.append(Problem("has no value", text, "Write it as train.learning_rate=1e-4."))
    if problems:
        raise InputError(problems)
    return checked(recipe, values)


def words(values: Mapping[str, Any]) -> str:
    """The values for people: `train.learning_rate = 0.0001, train.eval_every = 20`."""
    return ", ".join(f"{key} = {value:g}" if isinstance(value, float) else f"{key} = {value}"
                     for key, value in values.items())  # fmt: skip


def _not_changeable(key: str) -> Problem:
    close = nearest(key, CHANGEABLE)
    fix = f"Did you mean {close[0]}?" if close else f"These can: {', '.join(CHANGEABLE)}."
    return Problem("cannot be changed in a run", key, fix)


def _without(change: Change, keys: Container[str]) -> Change:
    rest = {key: value for key, value in change.values.items() if key not in keys}
    return Change(change.step, rest, change.rollback)


def _parse(line: str) -> Change | None:
    try:
        entry = json.loads(line)
        step, values = entry["step"], entry["values"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(step, int) or not isinstance(values, dict):
        return None
    return Change(step, values, entry.get("rollback") is True)


def _ends_a_line(path: Path) -> bool:
    return path.read_bytes()[-1:] == b"\n"
