"""`tui-ft doctor`: is everything here that tui-ft needs?"""

from __future__ import annotations

import argparse

from tui_ft.commands.output import emit, lines
from tui_ft.errors import ExitCode
from tui_ft.hardware.doctor import checks, to_json

_MARKS = {"ok": "ok", "warning": "note", "problem": "PROBLEM"}


def run(args: argparse.Namespace) -> ExitCode:
    """Examine and print. Exit code 3 when something has to be mended first."""
    found = []
    for check in checks(args.home):
        found.append(check)
        if not args.json:
            lines([f"  {_MARKS[check.state]:8} {check.name}: {check.what}"])
            lines(f"{'':11}{line}" for line in filter(None, [check.fix]))
    if args.json:
        emit(to_json(found))
    broken = any(check.state == "problem" for check in found)
    return ExitCode.CANNOT_HERE if broken else ExitCode.DONE
