"""The way in: prepares the terminal, then loads Textual and opens the wizard."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tui_ft.settings import Home

from . import terminal


def main(
    home: Home,
    recipe: Path | None = None,
    run: str | None = None,
    ascii: bool = False,  # noqa: A002
    color: terminal.Color = "auto",
    mouse: bool = True,
) -> int:
    """Open the wizard, filled in from `recipe`, or the dashboard of `run`. Returns the exit code.

    Raises InputError when the recipe cannot be read.
    """
    here = terminal.look(os.environ, color=color, ascii=ascii)
    terminal.tune(here, os.environ)
    # Textual reads its settings when it is imported.
    from .shell import TuiFt

    app = TuiFt(home, here, recipe=recipe, run=run)
    app.run(mouse=mouse)
    farewell = app.farewell()
    if farewell and sys.stdout.isatty():
        print(farewell)
    return app.return_code or 0
