"""Steering from the command line: a queue, settings changed in a run, an evaluation in between."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests import tiny_model
from tui_ft.cli import main
from tui_ft.runs import status
from tui_ft.runs.events import EventReader
from tui_ft.runs.folder import RunFolder, find, list_runs
from tui_ft.settings import Home

ROWS = [
    {
        "messages": [
            {"role": "user", "content": f"Ticket {number}: the {what} does not work"},
            {"role": "assistant", "content": json.dumps({"category": what})},
        ]
    }
    for number in range(30)
    for what in ("printer", "invoice")
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a tiny model, a data file and two recipes."""
    tiny_model.make(tmp_path / "model")
    (tmp_path / "tickets.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    for name in ("first", "second"):
        (tmp_path / f"{name}.toml").write_text(
            f'name = "{name}"\n[model]\nid = "./model"\n[data]\npath = "tickets.jsonl"\n'
            "[train]\nepochs = 100\nearly_stopping = 0\n"
        )
    return tmp_path


def events(run: RunFolder, kind: str) -> list[dict[str, Any]]:
    """The events of this kind."""
    return [event for event in EventReader(run.events).read() if event["kind"] == kind]


def test_one_mistake_in_the_last_recipe_and_nothing_starts(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "second.toml").write_text(
        '[model]\nid = "./model"\n[data]\npath = "tickets.jsonl"\n[limits]\nmax_cost = 5.0\n'
    )
    home = tmp_path / "home"
    recipes = [str(place / "first.toml"), str(place / "second.toml"), str(place / "third.toml")]
    assert main(["train", *recipes, "--home", str(home)]) == 2
    said = capsys.readouterr().err
    assert f"{recipes[1]}: limits.max_cost: a budget needs a price" in said
    assert "third.toml" in said
    assert not list_runs(Home(home))
    assert main(["train", *recipes[:2], "--follow", "--home", str(home)]) == 2


@pytest.mark.train
def test_a_queue_is_steered(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = Home(tmp_path / "home")

    def tui_ft(*arguments: str) -> dict[str, Any]:
        assert main([*arguments, "--json", "--home", str(home.root)]) == 0, capsys.readouterr().err
        found = json.loads(capsys.readouterr().out)
        assert isinstance(found, dict)
        return found

    started = tui_ft("train", str(place / "first.toml"), str(place / "second.toml"))
    first, second = (find(home, entry["run"]) for entry in started["runs"])
    try:
        assert [entry["ahead"] for entry in started["runs"]] == [0, 1]
        deadline = time.monotonic() + 120
        while not events(first, "step"):
            assert time.monotonic() < deadline, first.log.read_text() if first.log.exists() else ""
            time.sleep(0.05)
        listed = {entry["run"]: entry for entry in tui_ft("runs")["runs"]}
        assert (listed[second.id]["state"], listed[second.id]["ahead"]) == ("queued", 1)

        answer = tui_ft("set", first.id, "train.learning_rate=1e-4", "train.eval_every=5000")
        assert answer == {
            "run": first.id,
            "request": "set",
            "acknowledged": True,
            "values": {"train.learning_rate": 1e-4, "train.eval_every": 5000},
        }
        assert main(["set", first.id, "train.learning_rate=7", "--home", str(home.root)]) == 2
        assert "train.learning_rate" in capsys.readouterr().err
        before = len(events(first, "eval"))
        assert tui_ft("validate", first.id)["acknowledged"]
        while len(events(first, "eval")) == before:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert tui_ft("stop", second.id) == {"run": second.id, "request": "stop", "acknowledged": True}
        assert status.reality(second).state == "stopped"
        assert tui_ft("show", first.id)["changes"] == answer["values"]
    finally:
        main(["stop", first.id, "--home", str(home.root)])
    while status.alive(first):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert status.reality(first).state == "stopped"
    capsys.readouterr()
    assert main(["set", first.id, "limits.max_hours=2", "--home", str(home.root)]) == 0
    assert "Noted: limits.max_hours = 2 when the run goes on" in capsys.readouterr().out
    assert not status.alive(second)
