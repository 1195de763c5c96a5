"""Draw the pictures of the docs from the app itself: `make screenshots`.

Everything in them is real: the demo's recipe, this machine, and the plan made for it. With the id of a run
as argument, its dashboard, comparison and exports are drawn as well.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from tui_ft.screens import terminal

from tui_ft.settings import Home, home
from tui_ft.starter_recipes import available

IMAGES = Path(__file__).parent / "images"
SIZE = (80, 24)
HERE = terminal.look({"TERM": "xterm-256color", "LANG": "C.UTF-8"}, color="truecolor")


async def draw(name: str, root: Home, keys: tuple[str, ...], **options: object) -> None:
    """One picture: open the wizard, press the keys, wait until nothing is being worked out."""
    from tui_ft.screens.page import Page
    from tui_ft.screens.shell import TuiFt

    app = TuiFt(root, HERE, **options)
    async with app.run_test(size=SIZE) as pilot:
        for key in ("", *keys):
            if key:
                await pilot.press(key)
            await pilot.pause(0.5)
            while app.draft.hardware is None or (isinstance(app.screen, Page) and app.screen.busy):
                await pilot.pause(0.1)
        await pilot.pause(1.5)
        (IMAGES / f"{name}.svg").write_text(app.export_screenshot(title="tui-ft"), encoding="utf-8")
        print(f"docs/images/{name}.svg")


async def main(run: str | None) -> None:
    """All pictures."""
    IMAGES.mkdir(exist_ok=True)
    demo = next(starter.path for starter in available() if starter.name == "demo")
    with tempfile.TemporaryDirectory() as folder:
        fresh = Home(Path(folder))
        await draw("welcome", fresh, ())
        await draw("question", fresh, ("enter", "down"))
        await draw("plan", fresh, (), recipe=demo)
        await draw("data", fresh, ("escape",))
    if run:
        await draw("dashboard", home(), (), run=run)
        await draw("evaluate", home(), ("g", "7"), run=run)
        await draw("export", home(), ("g", "8"), run=run)


if __name__ == "__main__":
    terminal.tune(HERE, os.environ)
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else None))
