"""Questions through a pipe and, with questionary, through a real pty."""

import os
import pty
import select
import sys
import time
from collections.abc import Iterator

import pytest

from tui_ft.errors import EnvironmentProblem
from tui_ft.plain.ask import Back, Choice, LineAsker

CHOICES = [Choice("a", "Apple", "a fruit"), Choice("b", "Bread")]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> "Iterator[list[str]]":
    lines: list[str] = []

    def answer(prompt: str) -> str:
        del prompt
        if not lines:
            raise EOFError
        return lines.pop(0)

    monkeypatch.setattr("builtins.input", answer)
    yield lines
    assert not lines, "not everything that was typed was asked for"


def test_a_number_chooses_and_enter_takes_the_suggestion(typed: list[str]) -> None:
    typed += ["2", ""]
    assert LineAsker().choose("What?", CHOICES) == "b"
    assert LineAsker().choose("What?", CHOICES, "a") == "a"


def test_a_wrong_number_is_explained_and_asked_again(
    typed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    typed += ["7", "x", "1"]
    assert LineAsker().choose("What?", CHOICES) == "a"
    assert capsys.readouterr().out.count("Please type a number from 1 to 2.") == 2


def test_several_by_commas(typed: list[str]) -> None:
    typed += ["1, 2", "", "3", "2"]
    assert LineAsker().several("Which?", CHOICES) == ["a", "b"]
    assert LineAsker().several("Which?", CHOICES) == []
    assert LineAsker().several("Which?", CHOICES) == ["b"]


def test_b_goes_back_anywhere(typed: list[str]) -> None:
    typed += ["b", "b", "b"]
    for ask in (
        lambda: LineAsker().choose("What?", CHOICES),
        lambda: LineAsker().several("Which?", CHOICES),
        lambda: LineAsker().text("Where?"),
    ):
        with pytest.raises(Back):
            ask()


def test_text_is_asked_until_it_passes(typed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    typed += ["no", "yes"]
    assert LineAsker().text("Say yes", check=lambda text: "" if text == "yes" else "Not that.") == "yes"
    assert "Not that." in capsys.readouterr().out


def test_the_end_of_input_is_named(typed: list[str]) -> None:
    with pytest.raises(EnvironmentProblem, match="nobody to ask"):
        LineAsker().text("Anybody there?")


def test_labels_are_made_harmless(typed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    typed.append("1")
    LineAsker().choose("What?", [Choice("x", "evil \x1b]52;c;aGk=\x07label")])
    assert "\x1b" not in capsys.readouterr().out


def test_questionary_in_a_real_terminal() -> None:
    script = (
        "from tui_ft.plain.ask import Choice, asker\n"
        "c = [Choice('a', 'Apple'), Choice('b', 'Bread')]\n"
        "print('chose', asker().choose('What?', c), 'indeed', flush=True)\n"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execv(sys.executable, [sys.executable, "-c", script])
    seen = b""
    pressed = False
    deadline = time.monotonic() + 20
    while b"indeed" not in seen and time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.5)[0]:
            seen += os.read(terminal, 4096)
        if b"Bread" in seen and not pressed:
            pressed = True
            os.write(terminal, b"\x1b[B\r")
        if b"\x1b[6n" in seen:  # questionary asks where the cursor is
            seen = seen.replace(b"\x1b[6n", b"")
            os.write(terminal, b"\x1b[1;1R")
    os.close(terminal)
    os.waitpid(pid, 0)
    assert b"chose b indeed" in seen
