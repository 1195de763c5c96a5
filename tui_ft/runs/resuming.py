"""What may be otherwise when a run goes on: its length, and what may change while it trains. Nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tui_ft.errors import InputError, Problem
from tui_ft.recipe import options, value_from_text
from tui_ft.runs import amendments, changes, checkpoints
from tui_ft.runs.amendments import EPOCHS, MAX_STEPS, Amendment
from tui_ft.runs.changes import CHANGEABLE, Change
from tui_ft.runs.folder import RunFolder
from tui_ft.text import nearest

ALLOWED = (EPOCHS, MAX_STEPS, *CHANGEABLE)


@dataclass(frozen=True, slots=True)
class Asked:
    """Checked settings for a resume: a longer run, and settings changed from its checkpoint on."""

    longer: Amendment | None = None
    changed: Change | None = None
    values: dict[str, Any] = field(default_factory=dict)

    def journal(self, folder: RunFolder) -> None:
        """Write them down, so that every later resume does the same. Call with the run's lock held."""
        if self.longer:
            amendments.append(folder, self.longer)
        if self.changed:
            changes.append(folder, self.changed)


def asked(folder: RunFolder, settings: Sequence[str]) -> Asked:
    """`KEY=VALUE` texts as what a resume may change. Raises InputError that lists every problem."""
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    known = [key for key, _ in options()]
    for setting in settings:
        key, equals, text = (part.strip() for part in setting.partition("="))
        if not equals:
            problems.append(Problem("has no value", f"--set {setting}", "Write it as train.epochs=5."))
        elif key in ALLOWED:
            values[key] = value_from_text(key, text)
        elif key in known:
            problems.append(_fixed(key, folder))
        else:
            close = nearest(key, known)
            problems.append(
                Problem("unknown key", f"--set {key}", f"Did you mean {close[0]}?" if close else "")
            )
    if problems:
        raise InputError(problems)
    saved = checkpoints.listed(folder)
    step = saved[-1].step if saved else 0
    longer = {key: value for key, value in values.items() if key in (EPOCHS, MAX_STEPS)}
    rest = {key: value for key, value in values.items() if key in CHANGEABLE}
    return Asked(
        amendments.extension(folder, longer, step) if longer else None,
        Change(step, changes.checked(folder.read_recipe(), rest)) if rest else None,
        values,
    )


def _fixed(key: str, folder: RunFolder) -> Problem:
    return Problem(
        "cannot change when a run goes on; it would be another training",
        f"--set {key}",
        f'Start a new run with it that goes on from these weights: method.continue_from = "{folder.id}".',
    )
