"""`tui-ft plan RECIPE`: every choice of a recipe with its reason; memory, time, money."""

from __future__ import annotations

import argparse
import shlex
import shutil

from tui_ft.commands.output import emit, lines, note
from tui_ft.errors import ExitCode
from tui_ft.pipeline import open_recipe, prepare
from tui_ft.planning.describe import plan_lines
from tui_ft.planning.exact import verify
from tui_ft.planning.fit import other_box


def run(args: argparse.Namespace) -> ExitCode:
    """Make the plan, for this box or another GPU. Exit code 1 when it cannot fit or the data blocks it."""
    opened = open_recipe(args.recipe, args.set)
    box = other_box(args.gpu, args.vram)
    prepared = prepare(opened.recipe, opened.base, args.home, box=box, price=args.price, say=note)
    plan = prepared.plan
    if args.exact:
        note("Counting the memory on the real model")
        plan = verify(plan, prepared.model.config)
    if args.json:
        emit(plan.to_json())
    else:
        lines(plan_lines(plan, width=min(120, shutil.get_terminal_size().columns)))
        settings = "".join(f" --set {shlex.quote(setting)}" for setting in args.set)
        lines(["", f"start it with   tui-ft train {args.recipe}{settings}"])
    if prepared.report.blocked:
        note("The data has findings that block training; `tui-ft check` shows them.")
    return ExitCode.ANSWER_IS_NO if plan.fits == "wont_fit" or prepared.report.blocked else ExitCode.DONE
