"""What a training has learned about itself so far; stored in every checkpoint, restored at resume."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tui_ft.errors import InputError

FILE = "progress.json"


@dataclass(frozen=True, slots=True)
class Progress:
    """Counters that must survive a kill, so that a resumed run is the same run.

    `evaluated_step` is the last step that was evaluated, `stale` counts evaluations in a row without
    gain, `tokens` the tokens seen by the model (padding left out), `seconds` the time spent on steps.
    """

    best_step: int | None = None
    best_loss: float | None = None
    evaluated_step: int | None = None
    stale: int = 0
    tokens: int = 0
    seconds: float = 0.0

    def trained(self, tokens: int, seconds: float) -> Progress:
        """After one more update on `tokens` tokens."""
        return replace(self, tokens=self.tokens + tokens, seconds=self.seconds + seconds)

    def evaluated(self, step: int, loss: float, *, counts: bool = True) -> Progress:
        """After an evaluation. Only a finite loss lower than the best one is a gain.

        An evaluation somebody asked for in between does not `count` against the patience.
        """
        if math.isfinite(loss) and (self.best_loss is None or loss < self.best_loss):
            return replace(self, best_step=step, best_loss=loss, evaluated_step=step, stale=0)
        return replace(self, evaluated_step=step, stale=self.stale + counts)

    def should_stop(self, patience: int) -> bool:
        """Whether `patience` evaluations in a row brought no gain; 0 never stops."""
        return patience > 0 and self.stale >= patience

    def write(self, folder: Path) -> None:
        """Store in a checkpoint folder."""
        (folder / FILE).write_text(json.dumps(asdict(self), allow_nan=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Progress:
        """Restore from a checkpoint folder. Raises InputError when it is missing or of another shape."""
        try:
            return cls(**json.loads((folder / FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"cannot be read: {error}", where=str(folder / FILE)) from None
