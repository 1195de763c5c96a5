"""What somebody asked for while a training runs: by request or by signal."""

from __future__ import annotations

from dataclasses import dataclass

from tui_ft.runs import control
from tui_ft.runs.reporter import Reporter
from tui_ft.runs.status import State
from tui_ft.training.signals import Stops


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a training came to its end, and whether its best weights become the result."""

    state: State
    why: str
    keep: bool


class EndedEarly(Exception):
    """The training ends here, outside the training loop; `ending` says how."""

    def __init__(self, ending: Ending) -> None:
        self.ending = ending
        super().__init__(ending.why)


class Wishes:
    """Takes requests and signals, acknowledges each as an event, and remembers a wished ending."""

    def __init__(self, reporter: Reporter, stops: Stops) -> None:
        self._reporter = reporter
        self._stops = stops
        self.validates = False  # whether there is something to evaluate on
        self.ending: Ending | None = None

    @property
    def signalled(self) -> bool:
        """Whether the end was asked for by a signal, which leaves little time."""
        return bool(self._stops.received)

    def take(self) -> frozenset[control.RequestName]:
        """Look for new requests and signals; returns the names of the requests."""
        taken = control.take(self._reporter.folder)
        for name in taken.rejected:
            self._reporter.event(
                "control_rejected", file=name, text="A file that is no request was set aside"
            )
        for request in taken.requests:
            answer = self._answer(request.name)
            self._reporter.event("control", id=request.id, request=request.name, text=answer)
        if self._stops.received and self.ending is None:
            self.ending = Ending("stopped", f"stopped by {self._stops.received}", keep=False)
            self._reporter.event(
                "control", request=self._stops.received, text=f"{self._stops.received} received"
            )
        return frozenset(request.name for request in taken.requests)

    def _answer(self, name: control.RequestName) -> str:
        match name:
            case "stop":
                self.ending = Ending("stopped", "stopped on request", keep=True)
                return "Stopping after this step"
            case "pause":
                self.ending = Ending("paused", "paused on request", keep=False)
                return "Pausing after this step"
            case "save":
                return "Saving after this step"
            case "evaluate":
                return "Evaluating after this step" if self.validates else "There are no validation rows"
