"""The result of checking an export: each measurement beside its limit, and why the limit is what it is."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tui_ft.files import write_json

CHECK = "check.json"
Must = Literal["at most", "at least", "above", "below"]

_HOLDS: Mapping[Must, Callable[[float, float], bool]] = {
    "at most": operator.le,
    "at least": operator.ge,
    "above": operator.gt,
    "below": operator.lt,
}


@dataclass(frozen=True, slots=True)
class Measure:
    """One number and what it must be. Comparisons with NaN are false, so NaN never passes."""

    name: str
    value: float
    must: Must
    limit: float
    why: str  # of the limit
    complaint: str  # what it means when it does not hold, in one sentence
    gates: bool = True  # False: a warning, the export stays usable

    @property
    def passed(self) -> bool:
        """Whether the number is what it must be."""
        return _HOLDS[self.must](self.value, self.limit)

    @property
    def told(self) -> str:
        """The complaint with its numbers."""
        numbers = f"{self.name} is {self.value:.4g}, must be {self.must} {self.limit:.4g}"
        return f"{self.complaint} ({numbers})"


@dataclass(frozen=True, slots=True)
class Check:
    """All measurements of one export. `notes` are facts without a limit."""

    target: str
    source: str  # fingerprint of the weights it was made from
    measures: tuple[Measure, ...]
    notes: Mapping[str, Any]

    @property
    def passed(self) -> bool:
        """Whether every measurement that gates is what it must be."""
        return all(measure.passed for measure in self.measures if measure.gates)

    @property
    def complaint(self) -> str:
        """The first thing that makes the export unusable, with its numbers; "" when nothing does."""
        return next((m.told for m in self.measures if m.gates and not m.passed), "")

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know of an export that is usable all the same."""
        return tuple(m.told for m in self.measures if not m.gates and not m.passed)

    @property
    def summary(self) -> str:
        """What was measured, on one line."""
        return ", ".join(f"{measure.name} {measure.value:.3g}" for measure in self.measures)


def save(folder: Path, check: Check) -> None:
    """Write check.json; non-finite numbers become null. Raises EnvironmentProblem when the disk refuses."""
    measures = [
        {
            **asdict(measure),
            "value": _finite(measure.value),
            "limit": _finite(measure.limit),
            "passed": measure.passed,
        }
        for measure in check.measures
    ]
    write_json(
        folder / CHECK,
        {
            "target": check.target,
            "passed": check.passed,
            "source": check.source,
            "measures": measures,
            "notes": dict(check.notes),
        },
    )


def passed_for(folder: Path, source: str) -> bool:
    """True when the export in this folder was checked, passed, and was made from these very weights."""
    try:
        document = json.loads((folder / CHECK).read_text(encoding="utf-8"))
        return document["passed"] is True and document["source"] == source
    except (OSError, ValueError, KeyError, TypeError):
        return False


def notes(folder: Path) -> dict[str, Any]:
    """The facts without a limit of a checked export."""
    found: dict[str, Any] = json.loads((folder / CHECK).read_text(encoding="utf-8"))["notes"]
    return found


def _finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None
