"""`tui-ft chat RUN`: talk to the base or the tuned model, in this terminal."""

from __future__ import annotations

import argparse
import subprocess
import sys

from tui_ft.errors import ExitCode, InputError
from tui_ft.runs.folder import find


def run(args: argparse.Namespace) -> ExitCode:
    """Hand the terminal to a process that loads the model."""
    folder = find(args.home, args.run)
    if args.json:
        raise InputError("a conversation has no JSON form", where="--json", fix="Leave it out.")
    # A process of its own: torch never enters this one, and Ctrl-C ends the answer, not tui-ft.
    child = subprocess.Popen([sys.executable, "-P", "-m", "tui_ft.evaluation.chat", str(folder.path)])
    while True:
        try:
            code = child.wait()
            break
        except KeyboardInterrupt:
            continue  # the terminal sends Ctrl-C to both; the child knows what to do with it
    return ExitCode(code) if code in set(ExitCode) else ExitCode.RUN_FAILED
