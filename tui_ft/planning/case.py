"""What a plan is made for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from tui_ft.data.rows import DatasetReport
from tui_ft.models.facts import ModelFacts
from tui_ft.planning.batches import Spread
from tui_ft.planning.box import Box


@dataclass(frozen=True, slots=True)
class Case:
    """What a plan is made for: all that is known but the recipe."""

    box: Box
    model: ModelFacts
    report: DatasetReport
    lengths: Spread

    @classmethod
    def of(cls, box: Box, model: ModelFacts, report: DatasetReport) -> Case:
        """For this model and data on this box."""
        known, in_pieces = report.lengths, report.mapping.shape == "text"
        return cls(box, model, report, _spread(known.lengths, in_pieces) if known else Spread())


@lru_cache(maxsize=4)
def _spread(lengths: tuple[int, ...], in_pieces: bool) -> Spread:
    """Kept, with what it has counted: every edit of a recipe plans the same rows again."""
    return Spread.of(lengths, in_pieces=in_pieces)
