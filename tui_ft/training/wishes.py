"""What somebody asked for while a training runs: by request, by signal or by a limit of the recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tui_ft.errors import TuiFtError
from tui_ft.recipe import Recipe
from tui_ft.runs import changes, control
from tui_ft.runs.changes import Change
from tui_ft.runs.control import Request
from tui_ft.runs.limits import near_words
from tui_ft.runs.reporter import Reporter
from tui_ft.runs.status import State
from tui_ft.training.budget import Budget
from tui_ft.training.signals import Stops


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a training came to its end, and whether its best weights become the result."""

    state: State
    why: str
    keep: bool
    fix: str = ""


class EndedEarly(Exception):
    """The training ends here, outside the training loop; `ending` says how."""

    def __init__(self, ending: Ending) -> None:
        self.ending = ending
        super().__init__(ending.why)


class Wishes:
    """Takes requests and signals, acknowledges each as an event, and remembers a wished ending.

    `step` is how many steps are done when a setting changed now takes effect.
    """

    def __init__(self, reporter: Reporter, stops: Stops, recipe: Recipe, budget: Budget) -> None:
        self._reporter = reporter
        self._stops = stops
        self._recipe = recipe
        self._budget = budget
        self.validates = False  # whether there is something to evaluate on
        self.ending: Ending | None = None
        self.at_epoch = False  # whether to end with the epoch
        self.step = 0
        self.reload()

    def reload(self) -> None:
        """Read the journal of changed settings anew."""
        self.changes = changes.in_force(changes.read(self._reporter.folder))
        self._budget.change(self._limits())

    @property
    def signalled(self) -> bool:
        """Whether the end was asked for by a signal, which leaves little time."""
        return bool(self._stops.received)

    @property
    def signal_waits(self) -> bool:
        """Whether a signal has come that was not taken yet."""
        return bool(self._stops.received) and self.ending is None

    def settings(self, step: int) -> dict[str, Any]:
        """The settings that were changed in this run, as they are once `step` steps are done."""
        return changes.at(self.changes, step)

    def take(self) -> frozenset[control.RequestName]:
        """Look for new requests, signals and limits; returns the names of the requests."""
        taken = control.take(self._reporter.folder)
        for name in taken.rejected:
            self._reporter.event(
                "control_rejected", file=name, text="A file that is no request was set aside"
            )
        for request in taken.requests:
            answer = self._answer(request)
            self._reporter.event("control", id=request.id, request=request.name, **answer)
        if self._stops.received and self.ending is None:
            self.ending = Ending("stopped", f"stopped by {self._stops.received}", keep=False)
            self._reporter.event(
                "control", request=self._stops.received, text=f"{self._stops.received} received"
            )
        self._mind_limits()
        return frozenset(request.name for request in taken.requests)

    def _answer(self, request: Request) -> dict[str, Any]:
        match request.name:
            case "stop":
                self.ending = Ending("stopped", "stopped on request", keep=True)
                return {"text": "Stopping after this step"}
            case "stop-at-epoch":
                self.at_epoch = True
                return {"text": "Stopping at the end of this epoch"}
            case "pause":
                self.ending = Ending("paused", "paused on request", keep=False)
                return {"text": "Pausing after this step"}
            case "save":
                return {"text": "Saving after this step"}
            case "evaluate":
                there = self.validates
                return {"text": "Evaluating after this step" if there else "There are no validation rows"}
            case "set":
                return self._set(request.values)

    def _set(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Note new settings on the disk before anybody is told that they count."""
        try:
            values = changes.checked(self._recipe, asked)
            self._budget.change({**self._limits(), **values})
            change = Change(self.step, values)
            changes.append(self._reporter.folder, change)
        except TuiFtError as error:
            where = error.problems[0].where
            return {"refused": True, "text": f"Refused: {where} {error.what}".replace("  ", " ")}
        self.changes = changes.in_force((*self.changes, change))
        return {"values": values, "step": self.step, "text": f"Changed: {changes.words(values)}"}

    def _limits(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for change in self.changes:
            values |= {key: value for key, value in change.values.items() if key.startswith("limits.")}
        return values

    def _mind_limits(self) -> None:
        if self.ending is not None:
            return
        run = self._reporter.folder.id
        if (over := self._budget.over()) is not None:
            what = over.limit.what
            self.ending = Ending("stopped", f"{what} is reached", keep=True)
            self._reporter.event("limit", key=over.limit.key, text=f"{what[:1].upper()}{what[1:]} is reached")
        elif (near := self._budget.near()) is not None:
            action = f"`tui-ft set {run} {near.limit.key}=…` gives it more."
            self._reporter.alert("limit-near", "warning", near_words(near), action, step=self.step)
