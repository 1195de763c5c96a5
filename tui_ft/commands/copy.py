"""`tui-ft copy RUN`: bring off this box what is not there yet, and say what is."""

from __future__ import annotations

import argparse

from tui_ft.commands.output import emit, lines
from tui_ft.errors import ExitCode, InputError
from tui_ft.runs import copier, copies
from tui_ft.runs.folder import find


def run(args: argparse.Namespace) -> ExitCode:
    """Copy to every target of the run's recipe. 1 when something stays behind."""
    folder = find(args.home, args.run)
    targets = folder.read_recipe().copies.to
    if not targets:
        raise InputError(
            "this run has no place to be copied to",
            where=str(folder.recipe),
            fix='Add [copies] with to = ["/mnt/backup"] to it.',
        )
    copier.main([str(folder.path)])
    copied, left = copies.known(folder, targets), copies.missing(folder, targets)
    if args.json:
        emit(
            {
                "run": folder.id,
                "copies": [copies.document(one) for one in copies.read(folder)],
                "missing": left,
            }
        )
    else:
        lines([*(one.words() for one in copied), *left])
    return ExitCode.ANSWER_IS_NO if left else ExitCode.DONE
