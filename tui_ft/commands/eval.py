"""`tui-ft eval RUN`: base against tuned on rows neither has seen."""

from __future__ import annotations

import argparse

from tui_ft.commands.follow import ended_well, follow
from tui_ft.commands.output import emit, note
from tui_ft.errors import ExitCode, RunFailed
from tui_ft.evaluation.report import EvalReport, load, table
from tui_ft.runs import launch
from tui_ft.runs.folder import RunFolder, find


def run(args: argparse.Namespace) -> ExitCode:
    """Evaluate in the background, follow, print the comparison. Exit code 1 when tuned is worse."""
    report = evaluate(find(args.home, args.run))
    if args.json:
        emit(report.to_json())
    else:
        print(table(report, samples=True))
    return ExitCode.ANSWER_IS_NO if report.verdict == "worse" else ExitCode.DONE


def evaluate(folder: RunFolder) -> EvalReport:
    """Run the evaluation to its end. Raises RunFailed when it does not get there."""
    launch.start(folder, "evaluate")
    follow(folder, "evaluate", note)
    ended_well(folder, "evaluate")
    report = load(folder.evaluation)
    if report is None:
        raise RunFailed("the evaluation was stopped before it had a result", where=folder.id)
    return report
