"""What the Pilot tests share: an app on a small real world, and waiting for events instead of sleeping."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from textual.events import Paste
from textual.pilot import Pilot
from tui_ft.screens import terminal
from tui_ft.screens.draft import Draft
from tui_ft.screens.page import Page
from tui_ft.screens.shell import TuiFt
from tui_ft.screens.widgets.lines import Lines, Prose

from tests import tiny_model
from tui_ft.settings import Home

_PATIENCE_S = 60.0
SMALL, LARGE = (80, 24), (120, 40)
PLAIN = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}


def make_app(home: Path, **options: object) -> TuiFt:
    """The app on a home folder of its own."""
    here = terminal.look(PLAIN, ascii=bool(options.pop("ascii", False)))
    return TuiFt(Home(home), here, **options)


@asynccontextmanager
async def running(app: TuiFt, size: tuple[int, int] = SMALL) -> AsyncIterator[Pilot[None]]:
    """The app with a keyboard; ready when its first page is."""
    async with app.run_test(size=size, notifications=True) as pilot:
        await settled(pilot)
        yield pilot


async def settled(pilot: Pilot[None]) -> None:
    """Wait until slow work and everything it set off is done."""
    await until(pilot, lambda: not page(pilot).busy and not _counting(pilot))


def _counting(pilot: Pilot[None]) -> bool:
    """The plan page still works out what its knobs would do."""
    return any(worker.group == "knobs" and not worker.is_finished for worker in pilot.app.workers)


async def until(pilot: Pilot[None], holds: Callable[[], bool], *, seconds: float = _PATIENCE_S) -> None:
    """Wait until something holds; fails after some time, a minute by default."""
    end = time.monotonic() + seconds
    quiet = 0
    while quiet < 2:
        assert time.monotonic() < end, f"waited in vain; the screen says:\n{shown(pilot)}"
        await pilot.pause()
        quiet = quiet + 1 if holds() else 0
        if not quiet:
            await asyncio.sleep(0.02)


async def press(pilot: Pilot[None], *keys: str) -> None:
    """Press keys one by one, waiting for what each sets off."""
    for key in keys:
        await pilot.press(key)
        await settled(pilot)


async def type_text(pilot: Pilot[None], text: str) -> None:
    """Put text into the field that has the focus, as a terminal's paste does."""
    field = pilot.app.screen.focused
    assert field is not None
    field.post_message(Paste(text))
    await settled(pilot)


def page(pilot: Pilot[None]) -> Page:
    """The page at the bottom of what is open, below any dialog."""
    found = next((s for s in pilot.app.screen_stack if isinstance(s, Page)), None)
    assert found is not None
    return found


def place(pilot: Pilot[None]) -> str:
    """Which place is open."""
    return str(page(pilot).place)


def draft(pilot: Pilot[None]) -> Draft:
    """The wizard's state."""
    found: Draft = cast(TuiFt, pilot.app).draft
    return found


def shown(pilot: Pilot[None]) -> str:
    """What is on the screen, as text."""
    strips = pilot.app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)


def text_of(pilot: Pilot[None], selector: str) -> str:
    """The whole text of one widget, also what is scrolled out of sight."""
    widget = pilot.app.screen.query_one(selector)
    assert isinstance(widget, Lines | Prose)
    return widget.plain if isinstance(widget, Lines) else str(widget.render())


def model_folder(tmp_path: Path) -> Path:
    """A small real model."""
    return tiny_model.make(tmp_path / "models" / "tiny")


def data_file(tmp_path: Path, rows: int = 80) -> Path:
    """Tickets with JSON answers, all different."""
    path = tmp_path / "data" / "tickets.jsonl"
    path.parent.mkdir(exist_ok=True)
    lines = [
        json.dumps(
            {
                "prompt": f"Ticket {number}: the invoice of order {number * 7} is wrong.",
                "completion": json.dumps({"category": "billing", "order": number * 7}),
            }
        )
        for number in range(rows)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path
