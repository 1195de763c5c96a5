"""`tui-ft show RUN`: one run in numbers."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

from tui_ft.commands.follow import step_line
from tui_ft.commands.output import emit, lines
from tui_ft.errors import ExitCode
from tui_ft.runs.changes import words
from tui_ft.runs.folder import find
from tui_ft.runs.view import RunView, show_json, view
from tui_ft.text import duration, size


def run(args: argparse.Namespace) -> ExitCode:
    """Print the run as its files say now."""
    shown = view(find(args.home, args.run))
    if args.json:
        emit(show_json(shown))
    else:
        lines(describe(shown))
    return ExitCode.DONE


def describe(shown: RunView) -> Iterator[str]:
    """The run in lines for people."""
    yield f"{shown.run}: {shown.state}" + (f", {shown.message}" if shown.message else "")
    if shown.fix:
        yield f"  {shown.fix}"
    yield f"  {step_line(shown)}"
    if shown.best:
        yield f"  best validation loss {shown.best.eval_loss:.3f} at step {shown.best.step}"
    if shown.elapsed_s is not None:
        yield (
            f"  {duration(shown.elapsed_s)} so far" if shown.alive else f"  took {duration(shown.elapsed_s)}"
        )
    if shown.cost is not None:
        yield f"  ${shown.cost:.2f} at ${shown.price_per_hour:g} an hour"
    if shown.together > 1:
        lost = [rank.name for rank in shown.ranks if shown.alive and not rank.alive]
        yield f"  {shown.together} processes train together" + (f"; gone: {', '.join(lost)}" if lost else "")
    if shown.changes:
        yield f"  changed in the run: {words(shown.changes)}"
    if shown.shutdown_at is not None:
        left = duration(shown.shutdown_at - time.time())
        yield f"  the box is ended in {left}; `tui-ft stop {shown.run}` calls it off"
    if shown.dry_run is not None:
        for line in shown.dry_run.lines(str(Path(shown.dir) / "recipe.toml")):
            yield f"  {line}"
    for alert in shown.alerts:
        yield f"  ! {alert.what} {alert.action}"
    for copied in shown.copies:
        yield f"  {copied.words()}"
    for artefact in shown.artefacts:
        yield f"  {artefact.kind:10} {artefact.path} ({size(artefact.bytes)})"
    yield f"  {shown.dir}"
