"""What typed lines mean, and a real conversation with tiny models."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tiny_model import make
from tests.tuned_run import make_run, write_adapter
from tui_ft.evaluation.talk import COMMANDS, Talk, hear
from tui_ft.runs.folder import RunFolder


def test_a_question_goes_to_the_model_with_all_that_it_was_told_and_said() -> None:
    talk = Talk(system="Be brief.").answered("tuned", "One?", "1").answered("base", "Eh?", "What?")
    reply = hear("  Two?\n", talk)
    assert reply.question == "Two?"
    assert [(turn["role"], turn["content"]) for turn in talk.asked("tuned", "Two?")] == [
        ("system", "Be brief."),
        ("user", "One?"),
        ("assistant", "1"),
        ("user", "Two?"),
    ]
    assert [turn["content"] for turn in talk.asked("base", "Two?")] == ["Be brief.", "Eh?", "What?", "Two?"]


def test_commands() -> None:
    talk = Talk().answered("tuned", "a", "b").answered("base", "a", "c")
    assert hear("/base", talk).talk.speaker == "base"
    assert hear("/both", talk).talk.speaker == "both"
    assert hear("/new", talk).talk == Talk()
    changed = hear("/system Answer in JSON.", talk).talk
    assert changed == Talk(system="Answer in JSON.")
    assert hear("/system", changed).talk.system == ""
    assert hear("/quit", talk).leave
    assert all(name in hear("/help", talk).say for name in COMMANDS)
    assert hear("/tunde", talk).say == "There is no /tunde; did you mean /tuned?"


@given(st.text())
def test_any_line_is_a_question_or_a_command(line: str) -> None:
    reply = hear(line, Talk())
    assert not (reply.say and reply.question)
    assert reply.leave == (line.strip().split(" ")[0] in ("/quit", "/exit"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    root = tmp_path_factory.mktemp("chat")
    model = make(root / "model")
    folder = make_run(root, model, system="Answer in JSON.")
    write_adapter(folder.adapter, model)
    return folder


def converse(folder: RunFolder, lines: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "tui_ft.evaluation.chat", str(folder.path)],
        input=lines.encode(),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        timeout=240,
        check=False,
    )


@pytest.mark.train
def test_a_conversation(run: RunFolder) -> None:
    done = converse(run, "The invoice is wrong.\n/both\nAnd now?\n/new\n\n")
    assert done.returncode == 0, done.stderr
    said = done.stdout.decode()
    assert "System prompt, as in training: Answer in JSON." in said
    speakers = [line[:6].strip() for line in said.splitlines() if line[:6] in ("tuned ", "base  ")]
    assert speakers == ["tuned", "base", "tuned"]
    assert "The conversation is forgotten." in said
    controls = {byte for byte in done.stdout if byte < 0x20 and byte != 0x0A} | ({0x7F} & set(done.stdout))
    assert not controls
    assert done.stderr == b""


def test_a_run_without_weights(tmp_path: Path, run: RunFolder) -> None:
    folder = make_run(tmp_path, Path(run.read_plan().model_folder))
    done = converse(folder, "")
    assert done.returncode == 2
    assert b"no trained weights yet" in done.stderr
