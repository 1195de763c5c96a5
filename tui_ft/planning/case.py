"""What a plan is made for."""

from __future__ import annotations

from dataclasses import dataclass

from tui_ft.data.rows import DatasetReport
from tui_ft.models.facts import ModelFacts
from tui_ft.planning.batches import Spread
from tui_ft.planning.box import Box


@dataclass(frozen=True, slots=True)
class Case:
    """What a plan is made for: all that is known but the recipe. Its lengths are sorted once."""

    box: Box
    model: ModelFacts
    report: DatasetReport
    lengths: Spread

    @classmethod
    def of(cls, box: Box, model: ModelFacts, report: DatasetReport) -> Case:
        """For this model and data on this box."""
        return cls(box, model, report, Spread.of(report.lengths.lengths) if report.lengths else Spread())
