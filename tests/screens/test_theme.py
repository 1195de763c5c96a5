"""Colours can be read: every pair that is used has a contrast of at least 4.5 to 1."""

from __future__ import annotations

import pytest
from textual.color import Color
from textual.theme import Theme
from tui_ft.screens import terminal
from tui_ft.screens.theme import ANSI_DARK, ANSI_LIGHT, DARK, LIGHT, MONO, THEMES, theme_for

BY_NAME = {theme.name: theme for theme in THEMES}


def luminance(color: Color) -> float:
    """Relative luminance by WCAG 2."""
    channels = [
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in color.normalized
    ]
    return 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]


def contrast(ink: str, paper: str) -> float:
    """Contrast ratio by WCAG 2."""
    light, dark = sorted((luminance(Color.parse(ink)), luminance(Color.parse(paper))), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_measure_is_the_known_one() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("name", [DARK, LIGHT])
@pytest.mark.parametrize("ink", ["foreground", "muted", "good", "warn", "bad", "accent"])
@pytest.mark.parametrize("paper", ["background", "surface", "cursor"])
def test_contrast(name: str, ink: str, paper: str) -> None:
    theme = BY_NAME[name]
    assert contrast(value(theme, ink), value(theme, paper)) >= 4.5


def value(theme: Theme, name: str) -> str:
    found = theme.variables.get(name) or getattr(theme, name)
    assert isinstance(found, str)
    return found


@pytest.mark.parametrize("name", [ANSI_DARK, ANSI_LIGHT, MONO])
def test_sixteen_colours_use_the_terminals_own_paper(name: str) -> None:
    theme = BY_NAME[name]
    assert theme.ansi
    assert {theme.background, theme.surface, theme.foreground} == {"ansi_default"}
    # Without shades, the cursor's line must be told by its style.
    assert theme.variables["cursor-style"] == "reverse"


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, DARK),
        ({"TERM": "xterm-256color", "COLORFGBG": "0;15"}, LIGHT),
        ({"TERM": "tmux-256color"}, DARK),
        ({"TERM": "screen"}, ANSI_DARK),
        ({"TERM": "linux"}, ANSI_DARK),
        ({"TERM": "xterm", "COLORFGBG": "0;15"}, ANSI_LIGHT),
        ({"TERM": "vt100"}, MONO),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, MONO),
    ],
)
def test_the_theme_suits_the_terminal(environ: dict[str, str], name: str) -> None:
    assert theme_for(terminal.look({**environ, "LANG": "en_US.UTF-8"})) == name


def test_a_colour_that_was_asked_for_wins() -> None:
    here = terminal.look({"TERM": "xterm", "NO_COLOR": "1", "LANG": "C.UTF-8"}, color="truecolor")
    assert theme_for(here) == DARK
