"""`tui-ft check --fix` from the outside: the copy, the words, the JSON, the question at a terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tui_ft.cli import main
from tui_ft.files import sha256

ROWS = [
    {"prompt": f"Where is order {i}?", "completion": f"Order {i} left on day {i}.", "kind": "ab"[i % 10 == 0]}
    for i in range(260)
]


@pytest.fixture
def tickets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data file with something to fix, in the folder where commands run."""
    rows: list[dict[str, Any]] = [dict(row) for row in ROWS]
    rows[3]["completion"] = "It \x07left."
    rows[5]["completion"] = ""
    rows[9]["completion"] = "I'm sorry, but I cannot help with that request."
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tickets.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def check(*arguments: str) -> int:
    return main(["check", "tickets.jsonl", *arguments])


def test_the_verdict_comes_first_and_the_fixes_last(
    tickets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check() == 1
    said = capsys.readouterr().out
    assert said.startswith(
        "259 usable rows; 1 finding must be mended or accepted before training.\n\nfindings 1 "
    )
    assert "         tickets.jsonl:6  turn 2, the assistant's, is empty\n" in said
    assert said.endswith(
        "2 fixes are safe:  tui-ft check tickets.jsonl --fix tickets.fixed.jsonl\n"
        "         Drop 1 row with an empty answer.\n"
        "         Remove control characters from 1 row.\n"
        "1 fix needs a yes:  tui-ft check tickets.jsonl --fix tickets.fixed.jsonl --yes refusals\n"
        "         Drop 1 row: the answer declines to answer.\n"
    )
    assert check("--json") == 1
    found = json.loads(capsys.readouterr().out)["fixes"]
    assert [(fix["id"], fix["safe"], fix["count"], fix["applied"]) for fix in found] == [
        ("empty-answer", True, 1, False),
        ("control-characters", True, 1, False),
        ("refusals", False, 1, False),
    ]


def test_a_fixed_copy_is_written_and_judged(tickets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sha256(tickets)
    assert check("--fix", "out.jsonl") == 0
    said = capsys.readouterr().out
    assert said.startswith(
        "Wrote out.jsonl: 259 rows, 1 of them changed; 1 dropped. The data are as they were.\n"
    )
    assert "         - It \\x07left.\n         + It left.\n" in said
    assert "         To do it: --yes refusals\n" in said
    assert said.endswith("What is left: 259 usable rows; nothing blocks, 1 finding worth a look.\n")
    assert sha256(tickets) == before
    assert len((tickets.parent / "out.jsonl").read_text().splitlines()) == 259

    assert check("--fix", "out.jsonl", "--yes", "refusals", "--force", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["fixed"] == {
        "path": "out.jsonl",
        "log": "out.jsonl.log.jsonl",
        "rows": 260,
        "kept": 258,
        "changed": 1,
        "dropped": 2,
    }
    assert (found["rows"], found["usable_rows"]) == (258, 258)
    assert [finding["id"] for finding in found["findings"]] == ["unused-columns"]
    by_id = {fix["id"]: fix for fix in found["fixes"]}
    assert by_id["refusals"]["applied"] is True
    assert by_id["control-characters"]["examples"] == [
        {
            "file": "tickets.jsonl",
            "line": 4,
            "field": "completion",
            "before": "It \\x07left.",
            "after": "It left.",
        }
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--fix", "tickets.jsonl"), "the fixed copy would overwrite the data"),
        (("--fix", "out.csv"), "the fixed copy is written as JSON lines"),
        (("--fix", "out.jsonl", "--yes", "refusal"), "Did you mean refusals?"),
        (("--yes", "refusals"), "Add --fix OUT.jsonl."),
        (("--set", "train.epochs=2"), "a check takes keys of [data] only"),
        (("--set", "data.stratfy=kind"), "Did you mean data.stratify?"),
        (("--set", "data.stratify=knd"), "Did you mean kind?"),
    ],
)
def test_wrong_use_is_told(
    tickets: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert check(*arguments) == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in tickets.parent.iterdir()] == ["tickets.jsonl"]


def test_nothing_left_is_a_no(tickets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tickets.write_text('{"prompt": "Hi", "completion": ""}\n')
    assert check("--fix", "out.jsonl") == 1
    assert capsys.readouterr().out.endswith("Nothing is left of these data.\n")


def test_labels_are_counted_by_side(tickets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("--set", "data.stratify=kind", "--set", "data.ignore=['empty-answer']", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["labels"]["b"] == {"train": 20, "validation": 3, "test": 3}
    check("--set", "data.stratify=kind")
    assert "         b: train 20, validation 3, test 3\n" in capsys.readouterr().out


def test_unsafe_fixes_are_asked_for_at_a_terminal(tickets: Path) -> None:
    ours, theirs = os.openpty()
    arguments = [sys.executable, "-m", "tui_ft", "check", "tickets.jsonl", "--fix", "out.jsonl"]
    with subprocess.Popen(
        arguments,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TUI_FT_HOME": str(tickets.parent)},
    ) as process:
        os.close(theirs)
        said = b""
        while b"Do this? [y/N] " not in said:
            said += os.read(ours, 4096)
        os.write(ours, b"y\n")
        while b"What is left" not in said:
            said += os.read(ours, 4096)
        assert process.wait(30) == 0
    os.close(ours)
    assert len((tickets.parent / "out.jsonl").read_text().splitlines()) == 258
