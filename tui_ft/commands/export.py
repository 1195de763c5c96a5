"""`tui-ft export RUN --to FORMAT` and `tui-ft merge RUN`: artefacts, each checked against the adapter."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tui_ft.commands.follow import ended_well, follow
from tui_ft.commands.output import emit, lines, note
from tui_ft.errors import ExitCode
from tui_ft.export import targets
from tui_ft.runs import launch
from tui_ft.runs.artefacts import Artefact, artefacts
from tui_ft.runs.folder import RunFolder, find
from tui_ft.text import size


def run(args: argparse.Namespace) -> ExitCode:
    """Export in the background and follow. Exit code 4 when an export fails its check."""
    folder = find(args.home, args.run)
    names = ["merged"] if args.command == "merge" else args.to or []
    made = export(folder, names)
    if args.json:
        emit({"run": folder.id, "exports": [{"path": a.path, "bytes": a.bytes} for a in made]})
    else:
        lines(f"{artefact.path} ({size(artefact.bytes)})" for artefact in made)
    return ExitCode.DONE


def export(folder: RunFolder, names: Sequence[str]) -> list[Artefact]:
    """Make the named exports, or those of the recipe; returns all exports of the run.

    Raises InputError or EnvironmentProblem before anything starts, RunFailed when a check fails.
    """
    wanted = targets.parse(names or folder.read_recipe().export.to)
    targets.check(wanted, folder)
    launch.start(folder, "export", [word for target in wanted for word in ("--to", target)])
    follow(folder, "export", note)
    ended_well(folder, "export")
    return [artefact for artefact in artefacts(folder) if artefact.kind == "export"]
