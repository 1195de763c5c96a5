"""What earlier attempts at a run have left in its events, as far as a training that goes on needs it."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from tui_ft.runs.events import Event, EventReader, is_kind, moment
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.readings import number
from tui_ft.runs.signs import Signs, Step
from tui_ft.runs.worked import Worked


@dataclass(slots=True)
class History:
    """Losses by step, as they count after the last resume; when work began and how long it took."""

    began: float | None = None  # of the first attempt, seconds since 1970
    worked_s: float = 0.0  # in which a process was at work on the training
    steps: array[int] = field(default_factory=lambda: array("q"))
    losses: array[float] = field(default_factory=lambda: array("d"))
    evaluations: list[tuple[int, float]] = field(default_factory=list)

    def cut(self, step: int) -> None:
        """Forget what came after `step`; it is done anew."""
        while self.steps and self.steps[-1] > step:
            self.steps.pop()
            self.losses.pop()
        while self.evaluations and self.evaluations[-1][0] > step:
            self.evaluations.pop()

    def teach(self, signs: Signs, step: int) -> None:
        """Let `signs` know everything up to `step`, so that it goes on as if nothing had happened.

        Speeds are left out: a resumed run may be on another machine.
        """
        evaluations = iter([seen for seen in self.evaluations if seen[0] <= step])
        due = next(evaluations, None)
        for at, loss in zip(self.steps, self.losses, strict=True):
            if at > step:
                break
            signs.see_step(Step(at, loss))
            while due is not None and due[0] <= at:
                signs.see_evaluation(*due)
                due = next(evaluations, None)


def read(folder: RunFolder) -> History:
    """The history of a run; an empty one when it has none. Only the lines that matter are parsed."""
    history = History()
    reader = EventReader(folder.events)
    worked = Worked()
    for line in reader.lines():
        at = moment(line)
        if is_kind(line, b"start") and (event := _of_training(reader, line)):
            worked.begin(at)
            history.began = history.began or at
            resumed = event.get("resumed_from")
            history.cut(resumed if isinstance(resumed, int) else 0)
            continue
        if is_kind(line, b"phase") and not _of_training(reader, line):
            worked.leave()
        elif at is not None:
            worked.hear(at)
        if is_kind(line, b"end"):
            worked.leave()
        elif is_kind(line, b"step") or is_kind(line, b"eval"):
            _take(history, reader.parse(line))
    history.worked_s = worked.seconds
    return history


def _take(history: History, event: Event | None) -> None:
    step = event.get("step") if event else None
    if event is None or not isinstance(step, int):
        return
    if event["kind"] == "step" and (loss := number(event.get("loss"))) is not None:
        history.cut(step - 1)
        history.steps.append(step)
        history.losses.append(loss)
    elif event["kind"] == "eval" and (loss := number(event.get("eval_loss"))) is not None:
        history.evaluations.append((step, loss))


def _of_training(reader: EventReader, line: bytes) -> Event | None:
    event = reader.parse(line)
    return event if event and event.get("job", "train") == "train" else None
