"""How many tokens a text has, without encoding all of it: words come again, and are counted once.

No tokenizer in use joins a blank with the character before it, so a text may be cut before each blank that
a character follows, and the tokens of the pieces add up. Whoever counts so must compare with the real
tokenizer on some of the texts: nothing in the format of a tokenizer promises it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tui_ft.models.tokenizer import ChatTokenizer

_BEFORE_WORDS = re.compile(r" (?=\S)")
# Longer pieces hardly come again.
_REMEMBERED_LENGTH = 40
_REMEMBERED = 300_000


class _Counts(dict[str, int]):
    """Tokens of pieces that follow `before`, encoded when they are first asked for."""

    def __init__(self, tokenizer: ChatTokenizer, before: str) -> None:
        super().__init__()
        self._tokenizer = tokenizer
        self._before = before

    def __missing__(self, piece: str) -> int:
        number = self._tokenizer.lengths([self._before + piece])[0]
        if len(piece) <= _REMEMBERED_LENGTH:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[piece] = number
        return number

    def __reduce__(self) -> Any:
        return _Counts, (self._tokenizer, self._before)


class TokenCounter:
    """Counts tokens of texts that hold no control tokens. Sent to another process, it forgets its words."""

    def __init__(self, tokenizer: ChatTokenizer) -> None:
        self._first = _Counts(tokenizer, "")
        self._later = _Counts(tokenizer, " ")

    def count(self, text: str) -> int:
        """Number of tokens, where nothing or a control token stands before and after the text."""
        if not text:
            return 0
        first, *later = _BEFORE_WORDS.split(text) if "  " in text else text.split(" ")
        return (self._first[first] if first else 0) + sum(map(self._later.__getitem__, later))
