"""`tui-ft doctor`: is everything here that tui-ft needs?"""

from __future__ import annotations

import argparse

from tui_ft.commands.output import emit, lines
from tui_ft.errors import ExitCode
from tui_ft.hardware.doctor import check_lines, checks, summary, to_json


def run(args: argparse.Namespace) -> ExitCode:
    """Examine and print each finding as it comes. Exit code 3 when something has to be mended first."""
    found = []
    for check in checks(args.home):
        found.append(check)
        if not args.json:
            lines(check_lines(check))
    if args.json:
        emit(to_json(found))
    else:
        lines(["", summary(found)])
    broken = any(check.state == "problem" for check in found)
    return ExitCode.CANNOT_HERE if broken else ExitCode.DONE
