"""Where tracebacks go: to a file, never to the user's screen."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime

from tui_ft import __version__
from tui_ft.settings import Home


def record_crash(home: Home) -> str:
    """Append the exception being handled to the log. Returns a sentence that says where it is."""
    entry = (
        f"--- {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC · tui-ft {__version__}\n{traceback.format_exc()}\n"
    )
    try:
        home.root.mkdir(parents=True, exist_ok=True)
        with home.log.open("a", encoding="utf-8") as log:
            log.write(entry)
    except OSError:
        return entry
    return f"The details are in {home.log}. Your runs are not touched."
