"""Every setting a person turns, with its neighbours and what each would do. Pure, below 150 ms in all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tui_ft.data.rows import DatasetReport
from tui_ft.errors import InputError
from tui_ft.hardware.facts import Hardware
from tui_ft.models.facts import ModelFacts
from tui_ft.planning.box import Box
from tui_ft.planning.calibration import Measurement
from tui_ft.planning.case import Case
from tui_ft.planning.choose import rounded
from tui_ft.planning.make import decide, measured
from tui_ft.planning.plan import Fit, Plan, Range
from tui_ft.planning.record import Record, shown
from tui_ft.planning.ways import differences, money_of
from tui_ft.recipe import Recipe

_RANKS = (4, 8, 16, 32, 64, 128, 256)
_SHARES = (0.9, 0.95, 0.99)  # of the rows that a length keeps whole


@dataclass(frozen=True, slots=True)
class Turn:
    """One value of a knob and the plan it gives. Everything that is not pinned follows it.

    The effect is None, and `problem` says why, where the value cannot be.
    """

    value: Any  # as the recipe takes it
    text: str  # the value as a person writes it
    changes: dict[str, Any]  # recipe key -> value
    current: bool
    fits: Fit | None = None
    peak_bytes: int | None = None
    more_bytes: int | None = None  # than the plan as it stands; negative saves
    time_s: Range | None = None
    money: Range | None = None
    epochs: float | None = None
    steps: int | None = None
    share_cut: float | None = None  # of the rows, which lose their end; None too when lengths are unknown
    also: tuple[str, ...] = ()  # what else changes, as the rest of the plan follows
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Knob:
    """One setting with the value it has and sensible neighbours, in order."""

    key: str  # recipe key
    label: str
    pinned: bool  # the user wrote it; else the plan chose it
    turns: tuple[Turn, ...]

    @property
    def now(self) -> Turn:
        """The value it has."""
        return next(turn for turn in self.turns if turn.current)

    def beside(self, step: int) -> Turn | None:
        """The value `step` places up or down from the present one; None past the end."""
        at = self.turns.index(self.now) + step
        return self.turns[at] if 0 <= at < len(self.turns) else None


def knobs(
    recipe: Recipe,
    model: ModelFacts,
    report: DatasetReport,
    hardware: Hardware,
    plan: Plan | None = None,
    *,
    calibration: Sequence[Measurement] = (),
) -> tuple[Knob, ...]:
    """Every knob with the effect of its neighbour values.

    `plan` is what `make` gave for this recipe, if it is at hand, `calibration` what `make` was given.
    Raises InputError like `make` when the recipe itself cannot be planned.
    """
    return knobs_on(measured(hardware, calibration), recipe, model, report, plan)


def knobs_on(
    box: Box, recipe: Recipe, model: ModelFacts, report: DatasetReport, plan: Plan | None = None
) -> tuple[Knob, ...]:
    """Like `knobs`, on a box that may exist only in the catalogue."""
    case = Case.of(box, model, report)
    plan = plan or decide(case, recipe)
    record = Record(recipe)
    return tuple(
        Knob(key, label, record.pinned(key), _turns(case, recipe, plan, key, current, values))
        for key, label, current, values in _settings(case, plan)
    )


def _turns(
    case: Case, recipe: Recipe, plan: Plan, key: str, current: Any, values: Iterable[Any]
) -> tuple[Turn, ...]:
    found = []
    for value in values:
        changes = {key: value}
        if value == current:
            found.append(_turn(case, plan, plan, value, changes, current=True))
            continue
        try:
            then = decide(case, recipe.with_values(changes))
        except InputError as error:
            found.append(Turn(value, shown(value), changes, current=False, problem=error.problems[0].what))
        else:
            found.append(_turn(case, plan, then, value, changes, current=False))
    return tuple(found)


def _turn(case: Case, plan: Plan, then: Plan, value: Any, changes: dict[str, Any], *, current: bool) -> Turn:
    return Turn(
        value=value,
        text=shown(value),
        changes=changes,
        current=current,
        fits=then.fits,
        peak_bytes=then.memory.peak_bytes,
        more_bytes=then.memory.peak_bytes - plan.memory.peak_bytes,
        time_s=then.time_s,
        money=money_of(then),
        epochs=then.train.epochs,
        steps=then.steps,
        share_cut=case.lengths.share_cut(then.train.seq_len),
        also=tuple(differences(case, plan, then)),
    )


def _settings(case: Case, plan: Plan) -> Iterator[tuple[str, str, Any, list[Any]]]:
    """Key, label, present value and the values to show, the present one among them."""
    method, train = plan.method, plan.train
    cuda = case.box.device == "cuda"
    yield "method.name", "method", method.name, ["qlora", "lora", "dora", "full"]
    if method.name != "full":
        yield "method.rank", "rank", method.rank, _near(method.rank, _RANKS)
        yield "method.alpha", "alpha", method.alpha, _sorted(method.rank, 2 * method.rank, method.alpha)
    yield "train.seq_len", "length", train.seq_len, _lengths(case, train.seq_len)
    yield "train.micro_batch", "rows at once", train.micro_batch, _doubled(train.micro_batch)
    yield "train.grad_accum", "times before an update", train.grad_accum, _doubled(train.grad_accum)
    yield "train.gradient_checkpointing", "checkpointing", train.gradient_checkpointing, [False, True]
    packing = "on" if train.packing else "off"
    yield "train.packing", "packing", packing, ["off", "on"]
    if cuda:
        optimizers = ["adamw", "adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit"]
        yield "train.optimizer", "optimizer", train.optimizer, optimizers
        precisions = ["bf16", "fp16"] if case.box.bf16 else ["fp16", "fp32"]
    else:
        precisions = ["bf16", "fp32"]
    if train.precision not in precisions:
        precisions.append(train.precision)
    yield "train.precision", "precision", train.precision, precisions
    epochs = train.epochs
    yield "train.epochs", "epochs", epochs, _sorted(*(e for e in (epochs - 1, epochs, epochs + 1) if e > 0))
    rate = train.learning_rate
    yield "train.learning_rate", "learning rate", rate, [rate / 2, rate, *([2 * rate] if rate <= 0.5 else [])]


def _lengths(case: Case, current: int) -> list[int]:
    """What most rows need, what all need, and the present length with its half and double."""
    limit = case.model.context_length or 1 << 20
    if not case.lengths:
        values = [current // 2, current, 2 * current]
    else:
        values = [rounded(case.lengths.percentile(share)) for share in _SHARES]
        values += [rounded(case.lengths.longest), current]
    return _sorted(current, *(value for value in values if 8 <= value <= limit))


def _near(current: int, values: tuple[int, ...]) -> list[int]:
    """The present value, the next smaller and the two next larger ones."""
    below = [value for value in values if value < current][-1:]
    above = [value for value in values if value > current][:2]
    return [*below, current, *above]


def _doubled(current: int) -> list[int]:
    return _sorted(max(1, current // 2), current, 2 * current)


def _sorted(*values: Any) -> list[Any]:
    return sorted(set(values))
