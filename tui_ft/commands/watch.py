"""`tui-ft watch RUN`: follow a run. Ctrl-C leaves it alive."""

from __future__ import annotations

import argparse

from tui_ft.commands.follow import ended_well, follow
from tui_ft.commands.output import emit, lines, note
from tui_ft.commands.show import describe
from tui_ft.errors import ExitCode
from tui_ft.runs.folder import RunFolder, find
from tui_ft.runs.view import show_json, view


def run(args: argparse.Namespace) -> ExitCode:
    """Print what happens until the run's process ends."""
    folder = find(args.home, args.run)
    if not args.once:
        watch(folder)
    shown = view(folder)
    if args.json:
        emit(show_json(shown))
    else:
        lines(describe(shown))
    if not args.once:
        ended_well(folder, shown.job)
    return ExitCode.DONE


def watch(folder: RunFolder) -> None:
    """Follow whatever job is at work in the folder; on Ctrl-C say that it goes on."""
    try:
        follow(folder, view(folder).job, note)
    except KeyboardInterrupt:
        note(f"\nLeft {folder.id}; it goes on. `tui-ft watch {folder.id}` comes back to it.")
        raise SystemExit(int(ExitCode.DONE)) from None
