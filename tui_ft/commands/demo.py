"""`tui-ft demo`: the whole way on the built-in task, without a screen."""

from __future__ import annotations

import argparse
import time

from tui_ft.commands.eval import evaluate
from tui_ft.commands.export import export
from tui_ft.commands.follow import ended_well, follow
from tui_ft.commands.output import emit, lines, note
from tui_ft.errors import ExitCode
from tui_ft.evaluation.report import table
from tui_ft.hardware.describe import header
from tui_ft.pipeline import open_recipe, prepare, start
from tui_ft.text import count, duration, parameters, size


def run(args: argparse.Namespace) -> ExitCode:
    """Prepare, train, evaluate and export for real; exit code 4 when any of it fails."""
    began = time.monotonic()
    note("The demo: support tickets to JSON, with a small model, for real.")
    opened = open_recipe("demo")
    prepared = prepare(opened.recipe, opened.base, args.home, say=_say)
    plan, report = prepared.plan, prepared.report
    _say(f"{header(prepared.hardware)}; {parameters(prepared.model.parameters)} parameters")
    _say(f"{count(report.usable_rows, 'row')} to learn from, {len(report.findings)} remarks on the data")
    method, batch = plan.method, plan.train.effective_batch
    _say(f"{method.name} rank {method.rank}, {count(plan.steps, 'step')} of {batch} rows")
    folder = start(prepared, args.home)
    _say(f"training as {folder.id}")
    follow(folder, "train", note)
    ended_well(folder, "train")
    evaluation = evaluate(folder)
    exported = export(folder, ["merged"])
    if args.json:
        emit(
            {"run": folder.id, "seconds": round(time.monotonic() - began), "evaluation": evaluation.to_json()}
        )
    else:
        print(f"\n{table(evaluation, samples=True)}\n")
        lines(f"{artefact.path} ({size(artefact.bytes)})" for artefact in exported)
        lines([f"Took {duration(time.monotonic() - began)}. Talk to it with: tui-ft chat {folder.id}"])
    return ExitCode.DONE


def _say(text: str) -> None:
    note(f"{time.strftime('%H:%M:%S')}  {text}")
