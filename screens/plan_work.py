"""The slow work of the plan page, to be done in a thread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_ft.errors import InputError

from .draft import Draft

if TYPE_CHECKING:
    from tui_ft.planning.knobs import Knob
    from tui_ft.planning.plan import Plan
    from tui_ft.settings import Home


def make_plan(draft: Draft, home: Home) -> Plan:
    """The plan of this draft, with what dry runs on this machine have taught. Raises InputError."""
    from tui_ft.planning.calibration import load
    from tui_ft.planning.make import make

    return make(*_known(draft), calibration=load(home))


def find_knobs(draft: Draft, home: Home) -> tuple[Knob, ...]:
    """What turning each setting would do to the plan of this draft."""
    from tui_ft.planning.calibration import load
    from tui_ft.planning.knobs import knobs

    return knobs(*_known(draft), draft.plan, calibration=load(home))


def start_run(draft: Draft, home: Home, fetching: Callable[[int, int], None]) -> str:
    """Fetch the weights if need be and start the run, in a thread; returns its id. Raises TuiFtError."""
    from tui_ft import pipeline
    from tui_ft.models.tokenizer import ChatTokenizer

    if draft.hardware is None or draft.facts is None or draft.report is None or draft.plan is None:
        raise InputError("the plan is not ready", fix="Wait until it is made.")
    folder = draft.facts.folder
    prepared = pipeline.Prepared(
        recipe=draft.to_recipe(),
        base=Path.cwd(),
        hardware=draft.hardware,
        model=draft.facts,
        tokenizer=ChatTokenizer.load(folder) if folder is not None else None,
        report=draft.report,
        plan=draft.plan,
    )
    return pipeline.start(prepared, home, progress=fetching).id


def _known(draft: Draft) -> tuple[Any, Any, Any, Any]:
    if draft.hardware is None or draft.facts is None or draft.report is None:
        raise InputError("the plan is not ready", fix="Wait until machine, model and data are read.")
    return draft.to_recipe(), draft.facts, draft.report, draft.hardware
