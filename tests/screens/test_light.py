"""What the interface loads: never torch, and what is slow only when it is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.screens.pilot import data_file, model_folder

HEAVY = {"torch", "transformers", "datasets", "trl", "peft", "accelerate", "bitsandbytes"}
LATER = {"pyarrow", "huggingface_hub", "pydantic", "tokenizers", "numpy", "pandas"}

WALK = """
import asyncio, sys
from tests.screens.pilot import make_app, press, running, type_text
from tui_ft.settings import Home
from pathlib import Path

def loaded():
    return " ".join(sorted({name.partition(".")[0] for name in sys.modules}))

async def main(home, model, data):
    async with running(make_app(Path(home))) as pilot:
        print("first", loaded())
        await press(pilot, "g", "3")
        await type_text(pilot, model)
        await press(pilot, "enter", "enter")
        await type_text(pilot, data)
        await press(pilot, "enter", "p", "escape", "enter")
        print("plan", pilot.app.draft.place, loaded())

asyncio.run(main(*sys.argv[1:]))
"""


def test_torch_is_never_loaded_and_slow_packages_not_at_first(tmp_path: Path) -> None:
    model, data = model_folder(tmp_path), data_file(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", WALK, str(tmp_path / "home"), str(model), str(data)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    first, plan = (set(line.split()) for line in done.stdout.splitlines())
    assert not first & (HEAVY | LATER)
    assert "plan" in plan
    assert not plan & HEAVY
