"""Text from data, names, logs and messages is shown, never obeyed: not by the terminal, not as markup."""

from __future__ import annotations

import json
import os
from pathlib import Path

from textual.pilot import Pilot
from tui_ft.screens import draft as drafts
from tui_ft.screens.filters import printable
from tui_ft.screens.shell import TuiFt

from tests.screens import sample_run
from tests.screens.payloads import PAYLOADS
from tests.screens.pilot import (
    make_app,
    model_folder,
    place,
    press,
    running,
    shown,
    type_text,
    until,
)
from tests.screens.terminal_pty import wizard
from tui_ft.runs.events import EventLog
from tui_ft.settings import Home

# Controls that Textual itself sends are its own business; these are the ones in the payloads' texts.
FORBIDDEN = ("52;c;", "evil.example", "]1337", "]777", "Gf=100", "+q544e", "1$r0m", "\x9b", "\x9d", "\x90")


def harmless(pilot: Pilot[None]) -> None:
    """Nothing on the screen is a control character or turns the reading direction."""
    for line in shown(pilot).split("\n"):
        assert line.isprintable()
        assert not any(char in line for char in "\u202e\u2066\u200b\ufeff")


def hostile_data(folder: Path) -> Path:
    """A data file whose rows and columns are payloads."""
    folder.mkdir(parents=True)
    rows = [
        {"prompt": f"row {number} {payload}", "completion": f"answer {number} {payload}", payload[:20]: 1}
        for number, payload in enumerate(PAYLOADS * 2)
    ]
    path = folder / "hostile.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"torn": "\x1b]0;x\x07\n')
    return path


async def test_data_that_attacks(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    left = drafts.Draft(place="pick-data", reached=3, recipe={"model": {"id": str(model_folder(tmp_path))}})
    assert drafts.save(left, home) is None
    path = hostile_data(tmp_path / "data")
    async with running(make_app(home.root)) as pilot:
        await type_text(pilot, f"{path.parent}/")
        await until(pilot, lambda: "hostile.jsonl" in shown(pilot))
        await press(pilot, "down")
        harmless(pilot)
        await press(pilot, "enter")
        assert place(pilot) == "data"
        harmless(pilot)
        await press(pilot, "p")
        for _ in range(19):
            harmless(pilot)
            await pilot.press("right")
            await pilot.pause()
        await press(pilot, "escape", "f")
        await until(pilot, lambda: "Findings" in shown(pilot))
        harmless(pilot)
        await press(pilot, "enter")
        harmless(pilot)
        await press(pilot, "escape", "escape", "m")
        await until(pilot, lambda: "What is a row?" in shown(pilot))
        harmless(pilot)


async def test_file_names_that_attack(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    left = drafts.Draft(place="pick-data", reached=3, recipe={"model": {"id": str(model_folder(tmp_path))}})
    assert drafts.save(left, home) is None
    folder = tmp_path / "names"
    folder.mkdir()
    for number, payload in enumerate(PAYLOADS):
        name = payload.replace("/", "|").replace("\0", "").encode("utf-8", "replace")
        # The last byte is no UTF-8: a name need not be text.
        (folder / os.fsdecode(b"%d " % number + name[:120] + b"\xff.jsonl")).write_text("{}\n")
    async with running(make_app(home.root)) as pilot:
        await type_text(pilot, f"{folder}/")
        await until(pilot, lambda: "all files of this folder" in shown(pilot))
        for _ in PAYLOADS[::8]:
            harmless(pilot)
            await press(pilot, *["down"] * 8)


async def test_messages_and_field_text_that_attack(tmp_path: Path) -> None:
    async with running(make_app(tmp_path)) as pilot:
        app = pilot.app
        assert isinstance(app, TuiFt)
        await press(pilot, "g", "3")
        for number, payload in enumerate(PAYLOADS):
            app.say(f"said {payload}")
            app.change(name=f"x{payload}")
            await type_text(pilot, printable(payload).split("\n")[0] or "x")
            harmless(pilot)
            if number % 9 == 0:  # the error message repeats the name
                await press(pilot, "enter")
                harmless(pilot)
            await pilot.press("ctrl+u")


async def test_a_run_that_attacks(tmp_path: Path) -> None:
    folder = sample_run.make_run(tmp_path)
    everything = " ".join(PAYLOADS).encode("utf-8", "replace")
    folder.log.write_bytes(everything + b"\n" + everything)
    with EventLog(folder.events) as log:
        for payload in PAYLOADS:
            clean = payload.encode("utf-8", "replace").decode()
            log.append("note", text=f"news {clean}")
            log.append("alert", id=clean, severity="warning", what=f"what {clean}", action=clean, step=1)
            log.append("gauges", gpus=[{"name": clean, "memory_bytes": "x"}])
    with sample_run.at_work(folder):
        async with running(make_app(tmp_path)) as pilot:
            await until(pilot, lambda: "step 61" in shown(pilot))
            for _ in PAYLOADS:
                harmless(pilot)
                await pilot.press("enter")
                await pilot.pause()
            await press(pilot, "l")
            harmless(pilot)
            await press(pilot, "escape", "r")
            harmless(pilot)


def test_none_of_it_reaches_a_real_terminal(tmp_path: Path) -> None:
    home = tmp_path / "tui-ft"
    left = drafts.Draft(place="data", reached=3, recipe={"model": {"id": str(model_folder(tmp_path))}})
    path = hostile_data(tmp_path / "data")
    assert drafts.save(left.with_values({"data.path": str(path)}), Home(home)) is None
    with wizard(tmp_path) as terminal:
        terminal.read_until("hostile.jsonl")
        terminal.read_until("prompt and answer")
        for keys, wanted in (("p", "only read"), ("\x1b[C", "row 2 of"), ("\x1b[C", "row 3 of")):
            terminal.send(keys)
            terminal.read_until(wanted)
        sent = terminal.received.decode("utf-8", "replace")
        assert [part for part in FORBIDDEN if part in sent.replace("]52;c;cHduZWQ=", "")] == []
