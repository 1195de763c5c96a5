"""How many tokens a text has, without encoding all of it: words come again, and are counted once.

No tokenizer in use joins a blank with the character before it, so a text may be cut before each blank that
a character follows, and the tokens of the pieces add up. Whoever counts so must compare with the real
tokenizer on some of the texts: nothing in the format of a tokenizer promises it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tui_ft.models.tokenizer import ChatTokenizer

_BEFORE_WORDS = re.compile(r" (?=\S)")
# Characters of words that are remembered before all are forgotten.
_REMEMBERED = 4_000_000


class TokenCounter:
    """Counts tokens of texts that hold no control tokens. Sent to another process, it forgets its words."""

    def __init__(self, tokenizer: ChatTokenizer) -> None:
        self._tokenizer = tokenizer
        self._first: dict[str, int] = {}  # tokens of what begins a text
        self._later: dict[str, int] = {}  # and of what follows a blank, with the blank
        self._remembered = 0

    def __reduce__(self) -> Any:
        return TokenCounter, (self._tokenizer,)

    def count(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each, where nothing or a control token stands before and after a text."""
        pieces = [_BEFORE_WORDS.split(text) if "  " in text else text.split(" ") for text in texts]
        first = [words[0] for words in pieces]
        for words in pieces:
            del words[0]
        if self._remembered > _REMEMBERED:
            self._first, self._later, self._remembered = {}, {}, 0
        self._learn(self._first, set(first) - self._first.keys(), "")
        self._learn(self._later, set(chain.from_iterable(pieces)) - self._later.keys(), " ")
        tokens = self._later.__getitem__
        return [
            self._first[word] + sum(map(tokens, words)) for word, words in zip(first, pieces, strict=True)
        ]

    def _learn(self, known: dict[str, int], new: set[str], before: str) -> None:
        known.update(zip(new, self._tokenizer.lengths([before + word for word in new]), strict=True))
        self._remembered += sum(map(len, new))
