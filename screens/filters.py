"""The last gate before the terminal: what a line may contain. Runs over every widget's finished lines."""

from __future__ import annotations

from functools import lru_cache

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

# One cell for one cell, so that a line keeps its width: each character above stands for the one below it.
_ASCII = str.maketrans(
    "○●◉✓✗▲▼▪▫·…–—−×±≈≤≥→←↑↓↕›‹▸▾°─━│┃┌┐└┘├┤┬┴┼╭╮╰╯▁▂▃▄▅▆▇█▓▒░▔▎▊▌▐▀☐☑’‘“”²³αΔµ",
    "o**+x^v@o.~---x~~<>><^v|><>v'-=||+++++++++++++__-===*##=--||||^o*''\"\"23aDu",
)


@lru_cache(4096)
def printable(text: str) -> str:
    """The text without what a terminal could take for a command; odd spaces become plain ones."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else " " * cell_len(char) for char in text)


@lru_cache(4096)
def ascii_only(text: str) -> str:
    """The text in ASCII, cell for cell; what has no likeness becomes `?`."""
    if text.isascii():
        return text
    translated = text.translate(_ASCII)
    if translated.isascii():
        return translated
    return "".join(char if char.isascii() else "?" * cell_len(char) for char in translated)


class SafeLines(LineFilter):
    """Lets no control character through, whatever widget it came from."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same segments with printable text; control segments are Textual's own and stay."""
        del background
        return [
            segment
            if segment.control or segment.text.isprintable()
            else segment._replace(text=printable(segment.text))
            for segment in segments
        ]


class AsciiLines(LineFilter):
    """Draws everything, borders and data included, in ASCII."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same segments in ASCII, cell for cell."""
        del background
        return [
            segment
            if segment.control or segment.text.isascii()
            else segment._replace(text=ascii_only(segment.text))
            for segment in segments
        ]
