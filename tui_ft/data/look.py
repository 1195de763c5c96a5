"""The texts of a row, joined once, with cheap hints that spare most rows the costly patterns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from tui_ft.data.rows import Row

_WORD_BYTES: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
_LONG = b"w" * 20
_TO_WORDS: Final = bytes(ord("w") if byte in _WORD_BYTES else ord(" ") for byte in range(256))
_ASCII: Final = bytes(range(128))
# What is left without these: capitals, digits, symbols and control characters, a small part of most texts.
_PROSE: Final = b"abcdefghijklmnopqrstuvwxyz \t\n\r,.'" + bytes(range(128, 256))
_NOT_DIGITS: Final = bytes(set(range(256)) - set(b"0123456789"))


class Look(NamedTuple):
    """A row as the checks see it."""

    whole: str  # every text the model reads, parts divided by blank lines
    asked: str  # what stands before the last answer
    answers: tuple[str, ...]  # the assistant's turns; empty for plain text
    plain: bool  # a row of plain text, which asks and answers nothing
    sketch: bytes  # `whole` without small letters, blanks, commas, full stops and what is not ASCII
    beyond: str  # the characters of `whole` that are not ASCII
    digits: int  # how many digits there are

    @property
    def learned(self) -> tuple[str, ...]:
        """What the model learns to write."""
        return (self.whole,) if self.plain else self.answers

    def has_long_words(self) -> bool:
        """Whether 20 letters, digits, - or _ stand in a row."""
        return _LONG in self.whole.encode().translate(_TO_WORDS)


def look(row: Row) -> Look:
    """Take a row's texts together."""
    turns = row.dialogue
    answers = tuple([turn["content"] for turn in turns if turn["role"] == "assistant"])
    asked = "\n\n".join([turn["content"] for turn in turns[:-1]])
    whole = "\n\n".join(texts(row))
    encoded = whole.encode()
    sketch = encoded.translate(None, _PROSE)
    return Look(
        whole,
        asked,
        answers,
        row.text is not None,
        sketch,
        "" if whole.isascii() else encoded.translate(None, _ASCII).decode(),
        len(sketch.translate(None, _NOT_DIGITS)),
    )


def texts(row: Row) -> Iterator[str]:
    """Every text in a row that the model would read."""
    if row.text is not None:
        yield row.text
    for turn in row.dialogue:
        yield turn["content"]
        if len(turn) > 2:
            if "reasoning_content" in turn:
                yield turn["reasoning_content"]
            if "tool_calls" in turn:
                yield from _strings(turn["tool_calls"])
    if row.rejected is not None:
        yield row.rejected


def _strings(value: Any) -> Iterator[str]:
    """The texts within a value of JSON's kinds."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)
