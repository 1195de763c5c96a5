"""The disk while a training runs: told when it gets full, and saved once more while there is room."""

from __future__ import annotations

import time
from typing import Any

from transformers import TrainerCallback

from tui_ft.planning.plan import Plan
from tui_ft.runs import room
from tui_ft.runs.reporter import Reporter
from tui_ft.text import count
from tui_ft.training.trainer import Trainer

_EVERY_S = 5.0


class DiskWatch(TrainerCallback):  # type: ignore[misc]
    """Looks every few seconds, between steps. Gives up older checkpoints before it complains."""

    def __init__(self, trainer: Trainer, reporter: Reporter, plan: Plan) -> None:
        self._trainer = trainer
        self._reporter = reporter
        self._plan = plan
        self._looked = 0.0
        self._told = False

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Make room, or say that there is none and save at once: it may be the last time that it fits."""
        now = time.monotonic()
        if now - self._looked < _EVERY_S:
            return
        self._looked = now
        folder = self._reporter.folder
        found = room.look(folder, self._plan)
        if not found.low:
            self._told = False
            return
        removed = room.make(folder, best_step=self._trainer.progress.best_step)
        found = room.look(folder, self._plan)
        if not found.low or self._told:
            return
        self._told = True
        given_up = f" {count(len(removed), 'older checkpoint')} removed." if removed else ""
        self._reporter.alert(
            "disk-low",
            "warning",
            f"The disk is nearly full: {found.words()}.{given_up}",
            f"Free some space on the disk of {folder.path}; the run pauses when a checkpoint does not fit.",
            step=state.global_step,
        )
        fits = (found.free_bytes or 0) > (found.next_bytes or 0)
        if fits and not control.should_save:
            control.should_save = True
            self._trainer.reason = "disk nearly full"
