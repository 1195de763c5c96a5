"""`tui-ft check DATA`: what is in the data, and what is wrong with it."""

from __future__ import annotations

import argparse
from pathlib import Path

from tui_ft.commands.output import emit, lines
from tui_ft.data.check import check, exit_code, to_json
from tui_ft.data.describe import report_lines
from tui_ft.errors import ExitCode
from tui_ft.models.resolve import resolve
from tui_ft.models.tokenizer import ChatTokenizer
from tui_ft.recipe import Data


def run(args: argparse.Namespace) -> ExitCode:
    """Read everything once and report. Exit code 1 when findings block, 2 when a file cannot be read."""
    tokenizer = None
    if args.model:
        facts = resolve(args.model, home=args.home)
        tokenizer = ChatTokenizer.load(facts.folder) if facts.folder else None
    # The whole file is looked at as one; shares would only matter to a run.
    report = check(Data(path=args.data), base=Path.cwd(), tokenizer=tokenizer, seq_len=args.seq)
    if args.json:
        emit(to_json(report))
    else:
        lines(report_lines(report))
    return exit_code(report)
