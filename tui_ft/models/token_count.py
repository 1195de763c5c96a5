"""How many tokens a text has, without encoding all of it: words come again, and are counted once.

No tokenizer in use joins a blank with the character before it, or a line break with a character after it
that is not blank. So a text may be cut before the last of the blanks and after the last of the line breaks
that part two words, and the tokens of the pieces add up; how line breaks are cut up depends on whether a
letter, a digit or a sign comes next. Whoever counts so must compare with the real tokenizer on some of the
texts: nothing in the format of a tokenizer promises it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tui_ft.models.tokenizer import ChatTokenizer

# Some tokenizers part digits from all else first, which leaves the last of several blanks with the others.
_BEFORE_WORDS = re.compile(r"(?<!\s) (?=\S)| (?=[^\s\d])")
_LINES = re.compile(r"(?<=\n)(?=\S)")
_KINDS = ("a", "1", ".")
_ALL_KNOWN: tuple[list[str], ...] = ()
# Characters of words that are remembered before all are forgotten.
_REMEMBERED = 4_000_000


class TokenCounter:
    """Counts tokens of texts that hold no control tokens. Sent to another process, it forgets its words."""

    def __init__(self, tokenizer: ChatTokenizer) -> None:
        self._tokenizer = tokenizer
        # What begins a text or a line, what follows a blank; and the same before another line, whose first
        # character takes part in the key.
        self._known = (
            _Known(tokenizer, ""), _Known(tokenizer, " "), _Ending(tokenizer, ""), _Ending(tokenizer, " ")
        )  # fmt: skip

    def __reduce__(self) -> Any:
        return TokenCounter, (self._tokenizer,)

    def count(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each, where nothing or a control token stands before and after a text."""
        # Each text on its own: its pieces are still at hand when they are looked up.
        looked_up = [self._look_up(text) for text in texts]
        for at, known in enumerate(self._known):
            known.learn(piece for _, unknown in looked_up if unknown for piece in unknown[at])
        return [total + self._sum(unknown) if unknown else total for total, unknown in looked_up]

    def _look_up(self, text: str) -> tuple[int, tuple[list[str], ...]]:
        """The tokens of the pieces that are known, and the others by kind; no kinds when there are none."""
        total, unknown = 0, _ALL_KNOWN
        for at, (known, pieces) in enumerate(zip(self._known, _cut(text), strict=True)):
            if not pieces:
                continue
            tokens = list(map(known.tokens.get, pieces))
            if None in tokens:
                unknown = unknown if unknown is not _ALL_KNOWN else ([], [], [], [])
                unknown[at].extend(
                    piece for piece, number in zip(pieces, tokens, strict=True) if number is None
                )
            total += sum(filter(None, tokens))
        return total, unknown

    def _sum(self, pieces: Sequence[Sequence[str]]) -> int:
        return sum(
            known.tokens[piece] for known, kind in zip(self._known, pieces, strict=True) for piece in kind
        )


class _Known:
    """Tokens of pieces that stand after `before`."""

    def __init__(self, tokenizer: ChatTokenizer, before: str) -> None:
        self.tokens: dict[str, int] = {}
        self._tokenizer = tokenizer
        self._before = before
        self._remembered = 0

    def learn(self, pieces: Iterable[str]) -> None:
        """Remember the tokens of these pieces; earlier ones may be forgotten."""
        if self._remembered > _REMEMBERED:
            self.tokens, self._remembered = {}, 0
        new = [piece for piece in dict.fromkeys(pieces) if piece not in self.tokens]
        self.tokens.update(zip(new, self._lengths(new), strict=True))
        self._remembered += sum(map(len, new))

    def _lengths(self, pieces: Sequence[str]) -> list[int]:
        return self._tokenizer.lengths([self._before + piece for piece in pieces])


class _Ending(_Known):
    """Tokens of pieces that end a line, given with the kind of character that begins the next one."""

    def _lengths(self, pieces: Sequence[str]) -> list[int]:
        beside = dict(zip(_KINDS, self._tokenizer.lengths(_KINDS), strict=True))
        whole = super()._lengths(pieces)
        return [length - beside[piece[-1]] for piece, length in zip(pieces, whole, strict=True)]


def _cut(text: str) -> tuple[list[str], list[str], list[str], list[str]]:
    """The pieces of a text: those that begin a line, those that follow a blank, and the same at line ends."""
    if "\n" not in text:
        words = _words(text)
        return words[:1], words[1:], [], []
    pieces: tuple[list[str], list[str], list[str], list[str]] = ([], [], [], [])
    first, later, first_ending, later_ending = pieces
    lines = _LINES.split(text)
    for line, following in pairwise(lines):
        words = _words(line)
        words[-1] += _kind(following[0])
        if len(words) == 1:
            first_ending += words
            continue
        first.append(words[0])
        later += words[1:-1]
        later_ending.append(words[-1])
    words = _words(lines[-1])
    first.append(words[0])
    later += words[1:]
    return pieces


def _kind(character: str) -> str:
    return "a" if character.isalpha() else "1" if character.isnumeric() else "."


def _words(text: str) -> list[str]:
    mixed = "  " in text or " \n" in text or "\n " in text
    return _BEFORE_WORDS.split(text) if mixed else text.split(" ")
