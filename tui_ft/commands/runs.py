"""`tui-ft runs`: every run on this box."""

from __future__ import annotations

import argparse

from tui_ft.commands.output import emit, lines, table
from tui_ft.errors import ExitCode
from tui_ft.runs.folder import list_runs
from tui_ft.runs.view import RunView, view


def run(args: argparse.Namespace) -> ExitCode:
    """List them, newest first."""
    views = [view(folder) for folder in list_runs(args.home)]
    if args.json:
        emit({"runs": [_summary(v) for v in views]})
    elif not views:
        lines(["No runs yet. `tui-ft train RECIPE` starts one, `tui-ft demo` shows how it goes."])
    else:
        lines(table([("run", "state", "step", "loss", "validation"), *map(_row, views)]))
    return ExitCode.DONE


def _row(v: RunView) -> tuple[str, str, str, str, str]:
    steps = "" if v.steps is None else f" of {v.steps}"
    return (
        v.run,
        v.state if v.ahead is None else f"queued, {v.ahead} before it",
        f"{v.step}{steps}" + (f", {v.together} together" if v.together > 1 else ""),
        _number(v.loss),
        _number(v.best.eval_loss if v.best else None),
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _summary(v: RunView) -> dict[str, object]:
    return {
        "run": v.run,
        "dir": v.dir,
        "state": v.state,
        "alive": v.alive,
        "step": v.step,
        "steps": v.steps,
        "loss": v.loss,
        "eval_loss": v.eval_loss,
        "ahead": v.ahead,
        "together": v.together,
    }
