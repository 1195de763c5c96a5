"""`tui-ft` without a command: the wizard, on a screen or line by line."""

from __future__ import annotations

import argparse
import os
import sys

from tui_ft.errors import ExitCode, InputError


def run(args: argparse.Namespace) -> int:
    """Open the wizard in the form this terminal can show."""
    if args.json:
        raise InputError(
            "the wizard has no JSON form", where="--json", fix="`tui-ft --help` lists the commands."
        )
    if args.plain or os.environ.get("TERM") == "dumb":
        from tui_ft.plain.steps import walk

        walk(args.home, args.recipe)
        return ExitCode.DONE
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InputError(
            "there is no terminal to draw on",
            fix="`tui-ft --plain` asks line by line; `tui-ft --help` lists the commands.",
        )
    from tui_ft.screens.app import main

    recipe = None
    if args.recipe:
        # Only with a recipe: finding it loads pydantic, which the first frame need not wait for.
        from tui_ft.pipeline import recipe_path

        recipe = recipe_path(args.recipe)
    code: int = main(args.home, recipe=recipe, ascii=args.ascii, color=args.color, mouse=not args.no_mouse)
    return code
