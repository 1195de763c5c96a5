"""The last gate: no control character reaches the terminal, and ASCII means ASCII, cell for cell."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from tui_ft.screens.filters import AsciiLines, SafeLines, ascii_only, printable

BLACK = Color(0, 0, 0)


@given(st.text())
def test_only_printable_text_passes(text: str) -> None:
    passed = printable(text)
    assert passed.isprintable()
    assert cell_len(passed) <= cell_len(text)


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_ascii_keeps_the_width(text: str) -> None:
    drawn = ascii_only(text)
    assert drawn.isascii()
    assert cell_len(drawn) == cell_len(text)


def test_escape_sequences_lose_their_escape() -> None:
    segments = [Segment("\x1b]52;c;aGk=\x07 plain \x9b2J")]
    assert SafeLines().apply(segments, BLACK)[0].text == "]52;c;aGk= plain 2J"


def test_what_the_interface_draws_has_an_ascii_likeness() -> None:
    drawn = "○●✓✗▪▫·…–×±→↑↓›─│┌┐└┘├┤┬┴┼▓▒░▁▂▃▄▅▆▇█"
    assert "?" not in AsciiLines().apply([Segment(drawn)], BLACK)[0].text
