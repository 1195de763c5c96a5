"""`tui-ft train RECIPE`: start in the background, print the run id."""

from __future__ import annotations

import argparse

from tui_ft.commands.follow import download_lines, ended_well
from tui_ft.commands.output import emit, lines, note
from tui_ft.commands.show import describe
from tui_ft.commands.watch import watch
from tui_ft.errors import ExitCode
from tui_ft.pipeline import open_recipe, prepare, start
from tui_ft.runs.status import reality
from tui_ft.runs.view import view


def run(args: argparse.Namespace) -> ExitCode:
    """Prepare, start, and follow when asked to."""
    opened = open_recipe(args.recipe, args.set)
    prepared = prepare(opened.recipe, opened.base, args.home, price=args.price, say=note)
    for warning in prepared.plan.warnings:
        note(f"! {warning}")
    folder = start(prepared, args.home, progress=download_lines(note))
    if args.json:
        emit({"run": folder.id, "dir": str(folder.path), "pid": reality(folder).status.pid})
    else:
        lines([folder.id])
        note(f"It runs in the background. Follow it with `tui-ft watch {folder.id}`.")
    if args.follow:
        watch(folder)
        if not args.json:
            lines(describe(view(folder)))
        ended_well(folder, "train")
    return ExitCode.DONE
