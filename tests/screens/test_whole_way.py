"""From a plan to a checked export by keyboard, with a real training of a tiny model."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tui_ft.screens import draft as drafts

from tests.screens.pilot import (
    data_file,
    draft,
    make_app,
    model_folder,
    place,
    press,
    running,
    shown,
    text_of,
    until,
)
from tests.screens.terminal_pty import wizard
from tui_ft.runs.folder import list_runs
from tui_ft.runs.status import reality
from tui_ft.settings import Home


def at_the_plan(tmp_path: Path, home: Home, **train: int) -> None:
    """The wizard was left at the plan."""
    left = drafts.Draft(
        place="plan",
        reached=4,
        name="tickets",
        recipe={
            "model": {"id": str(model_folder(tmp_path))},
            "data": {"path": str(data_file(tmp_path))},
            "train": train,
            "evaluate": {"max_rows": 4, "max_new_tokens": 8},
        },
    )
    assert drafts.save(left, home) is None


@pytest.mark.train
def test_a_dropped_connection_does_not_touch_the_run(tmp_path: Path) -> None:
    home = Home(tmp_path / "tui-ft")
    at_the_plan(tmp_path, home, max_steps=12)
    with wizard(tmp_path, environ={"OMP_NUM_THREADS": "1"}) as terminal:
        terminal.read_until("SAFE")
        terminal.send("\r")
        terminal.read_until("the curve starts with the first step")
        terminal.vanish()
        assert terminal.process.wait(timeout=30) != 0
    (folder,) = list_runs(home)
    end = time.monotonic() + 300
    while reality(folder).state not in ("finished", "failed", "lost") and time.monotonic() < end:
        time.sleep(0.2)
    assert reality(folder).state == "finished"
    with wizard(tmp_path) as terminal:
        terminal.read_until("Training is finished")


@pytest.mark.train
async def test_start_watch_compare_and_export(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    at_the_plan(tmp_path, home, max_steps=4, eval_every=2)
    async with running(make_app(home.root)) as pilot:
        assert "SAFE" in text_of(pilot, "#summary")
        await press(pilot, "enter")
        assert place(pilot) == "train"
        assert draft(pilot).run.startswith("tickets-")
        await until(pilot, lambda: "Training is finished" in shown(pilot), seconds=300)
        await press(pilot, "enter")
        assert place(pilot) == "evaluate"
        await until(pilot, lambda: "compare now" in shown(pilot))
        await press(pilot, "enter")
        await until(pilot, lambda: "go on to export" in shown(pilot), seconds=300)
        assert "95 % interval" in text_of(pilot, "#facts")
        await press(pilot, "enter")
        assert place(pilot) == "export"
        await until(pilot, lambda: "one folder with the whole model" in shown(pilot))
        await press(pilot, "enter")
        await until(pilot, lambda: "checked: answers like the trained model" in shown(pilot), seconds=300)
    made = list((home.runs / draft(pilot).run / "exports" / "merged").glob("*.safetensors"))
    assert len(made) == 1
