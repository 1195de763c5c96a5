"""From a plan to a checked export by keyboard, with a real training of a tiny model."""

from __future__ import annotations

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
from tui_ft.settings import Home


@pytest.mark.train
async def test_start_watch_compare_and_export(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    left = drafts.Draft(
        place="plan",
        reached=4,
        name="tickets",
        recipe={
            "model": {"id": str(model_folder(tmp_path))},
            "data": {"path": str(data_file(tmp_path))},
            "train": {"max_steps": 4, "eval_every": 2},
            "evaluate": {"max_rows": 4, "max_new_tokens": 8},
        },
    )
    assert drafts.save(left, home) is None
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
