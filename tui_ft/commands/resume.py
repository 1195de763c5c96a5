"""`tui-ft resume RUN`: go on from the newest whole checkpoint."""

from __future__ import annotations

import argparse

from tui_ft.commands.output import emit, lines
from tui_ft.errors import ExitCode
from tui_ft.runs import launch
from tui_ft.runs.folder import find


def run(args: argparse.Namespace) -> ExitCode:
    """Start the worker again in the background."""
    folder = find(args.home, args.run)
    pid = launch.resume(folder, settings=args.set)
    if args.json:
        emit({"run": folder.id, "dir": str(folder.path), "pid": pid})
    else:
        lines([f"{folder.id} goes on. Follow it with `tui-ft watch {folder.id}`."])
    return ExitCode.DONE
