"""What a terminal can do is found out from its environment."""

from __future__ import annotations

import pytest
from tui_ft.screens import terminal


@pytest.mark.parametrize(
    ("environ", "plain"),
    [
        ({"LANG": "en_US.UTF-8"}, False),
        ({"LANG": "de_DE.utf8"}, False),
        ({}, False),
        ({"LANG": "C"}, True),
        ({"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}, True),
        ({"LANG": "de_DE.ISO-8859-1@euro"}, True),
        ({"LANG": "en_US.UTF-8", "TERM": "linux"}, True),
        ({"LANG": "en_US.UTF-8", "TERM": "vt100"}, True),
    ],
)
def test_plain_characters_where_others_would_break(environ: dict[str, str], plain: bool) -> None:
    assert terminal.look({"TERM": "xterm", **environ}).ascii is plain


def test_ascii_can_be_asked_for() -> None:
    assert terminal.look({"TERM": "xterm", "LANG": "C.UTF-8"}, ascii=True).ascii


def test_over_ssh_it_draws_less_often() -> None:
    near: dict[str, str] = {}
    far: dict[str, str] = {}
    terminal.tune(terminal.look({"TERM": "xterm"}), near)
    terminal.tune(terminal.look({"TERM": "xterm", "SSH_CONNECTION": "1 2 3 4"}), far)
    assert int(far["TEXTUAL_FPS"]) < int(near["TEXTUAL_FPS"])
    assert int(far["ESCDELAY"]) > int(near["ESCDELAY"])
    assert near["TEXTUAL_ANIMATIONS"] == far["TEXTUAL_ANIMATIONS"] == "none"


def test_what_the_user_has_set_stays() -> None:
    environ = {"TEXTUAL_FPS": "60"}
    terminal.tune(terminal.look({"TERM": "xterm"}), environ)
    assert environ["TEXTUAL_FPS"] == "60"


def test_colours_are_handed_on() -> None:
    environ: dict[str, str] = {"NO_COLOR": "1"}
    terminal.tune(terminal.look({"TERM": "xterm"}, color="256"), environ)
    assert environ["TEXTUAL_COLOR_SYSTEM"] == "256"
    assert "NO_COLOR" not in environ
    terminal.tune(terminal.look({"TERM": "xterm"}, color="none"), environ)
    assert environ["NO_COLOR"]
