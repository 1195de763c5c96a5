"""How many tokens a text has, without encoding all of it: words come again, and are counted once.

No tokenizer in use joins a blank with the character before it, or a line break with a character after it
that is not blank. So a text may be cut before the last of the blanks and after the last of the line breaks
that part two words, and the tokens of the pieces add up; how line breaks are cut up depends on whether a
letter, a digit or a sign comes next. Whoever counts so must compare with the real tokenizer on some of the
texts: nothing in the format of a tokenizer promises it.

Texts are cut and their pieces looked up many at a time, as bytes in arrays. A piece is known by 64 bits of
a hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from tui_ft.stretches import MOST_BYTES, mixed, stretch_hashes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tui_ft.models.tokenizer import ChatTokenizer
    from tui_ft.stretches import Hashes, Indices

    Counts = NDArray[np.int32]

# What stands for the character after a line break: a letter, a digit, a sign; "" where none follows.
_FOLLOWING: Final = ("", "a", "1", ".")
_BREAK, _BLANK = 10, 32
# Texts are laid end to end. To the last blank of a text a line break follows, to a line break nothing that
# parts it from the rest, and before the first blank there is no other.
_BETWEEN: Final = b"\n\0"
_BLANKS: Final = frozenset([*range(9, 14), *range(28, 33)])
# From the first there is room for all pieces that are looked up at once.
_FIRST_SLOTS, _MOST_SLOTS = MOST_BYTES, 1 << 21


class TokenCounter:
    """Counts tokens of texts that hold no control tokens. Sent to another process, it forgets its words."""

    def __init__(self, tokenizer: ChatTokenizer) -> None:
        self._tokenizer = tokenizer
        self._known = _Known()
        self._beside: dict[str, int] = {}

    def __reduce__(self) -> Any:
        return TokenCounter, (self._tokenizer,)

    def count(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each, where nothing or a control token stands before and after a text.

        Raises InputError for text that is not valid Unicode.
        """
        done: list[int] = []
        together: list[bytes] = []
        size = 0
        for text in texts:
            data = text.encode("utf-8", "surrogatepass")
            if size + len(data) + 2 * len(_BETWEEN) > MOST_BYTES and together:
                done += self._count(together)
                together, size = [], 0
            if len(data) + 2 * len(_BETWEEN) > MOST_BYTES:
                done += self._tokenizer.lengths([text])
                continue
            together.append(data)
            size += len(data) + len(_BETWEEN)
        return done + self._count(together) if together else done

    def _count(self, texts: Sequence[bytes]) -> list[int]:
        import numpy as np

        joined = _BETWEEN + _BETWEEN.join(texts) + _BETWEEN
        sizes = np.fromiter(map(len, texts), np.int64, len(texts))
        begins = np.cumsum(sizes + len(_BETWEEN)) - sizes
        pieces = _cut(joined, begins, begins + sizes)
        tokens = self._known.find(pieces.hashes)
        if (unknown := np.flatnonzero(tokens < 0)).size:
            _, first, again = np.unique(pieces.hashes[unknown], return_index=True, return_inverse=True)
            new = unknown[first]
            counted = self._lengths(joined, pieces, new)
            self._known.add(pieces.hashes[new], counted)
            tokens[unknown] = counted[again]
        counts: list[int] = np.add.reduceat(tokens, np.searchsorted(pieces.begins, begins)).tolist()
        return counts

    def _lengths(self, joined: bytes, pieces: _Pieces, which: Indices) -> Counts:
        """Tokens of some of the pieces, between what stands before and after them."""
        import numpy as np

        if not self._beside:
            self._beside = dict(zip(_FOLLOWING, self._tokenizer.lengths(_FOLLOWING), strict=True))
        following = [_FOLLOWING[kind] for kind in pieces.following[which].tolist()]
        texts = [
            " " * after_blank + joined[begin:end].decode("utf-8", "surrogatepass") + next_one
            for after_blank, begin, end, next_one in zip(
                pieces.after_blank[which].tolist(),
                pieces.begins[which].tolist(),
                pieces.ends[which].tolist(),
                following,
                strict=True,
            )
        ]
        beside = np.array([self._beside[next_one] for next_one in following], np.int32)
        return np.array(self._tokenizer.lengths(texts), np.int32) - beside


class _Pieces:
    """Stretches of texts laid end to end: whether a blank was cut off before each, and which of
    `_FOLLOWING` comes after the line break it ends in."""

    def __init__(self, data: NDArray[np.uint8], begins: Indices, ends: Indices) -> None:
        """`begins` are twice the place, and 1 after a blank; `ends` four times, and what follows."""
        import numpy as np

        # Each is three ascending runs, which a stable sort merges.
        begins.sort(kind="stable")
        ends.sort(kind="stable")
        self.begins, self.after_blank = begins >> 1, begins & 1
        self.ends, self.following = ends >> 2, ends & 3
        salts = mixed((self.after_blank * 4 + self.following).astype(np.uint64))
        self.hashes = stretch_hashes(data, self.begins, self.ends, salts)


def _cut(joined: bytes, begins: Indices, ends: Indices) -> _Pieces:
    """All pieces of the texts that begin and end there."""
    import numpy as np

    data = np.frombuffer(joined, np.uint8)
    is_blank, is_digit, kinds = _tables()
    blanks = np.flatnonzero(data == _BLANK)
    before, after = data[blanks - 1], data[blanks + 1]
    # Some tokenizers part digits from all else first, which leaves the last of several blanks to these.
    blanks = blanks[~is_blank[after] & ~(is_blank[before] & is_digit[after])]
    breaks = np.flatnonzero(data == _BREAK)
    following = kinds[data[breaks + 1]]
    for at in np.flatnonzero(following < 0):
        following[at] = _kind(joined[breaks[at] + 1 : breaks[at] + 5])
    breaks, following = breaks[following > 0] + 1, following[following > 0]
    return _Pieces(
        data,
        np.concatenate((begins * 2, blanks * 2 + 3, breaks * 2)),
        np.concatenate((ends * 4, blanks * 4, breaks * 4 + following)),
    )


def _kind(data: bytes) -> int:
    """Which of `_FOLLOWING` the first character is; 0 for a blank, from which a line break is not cut."""
    character = data.decode("utf-8", "ignore")[:1]
    if not character or character.isspace():
        return 0
    return _FOLLOWING.index("a" if character.isalpha() else "1" if character.isnumeric() else ".")


@cache
def _tables() -> tuple[NDArray[np.bool_], NDArray[np.bool_], Indices]:
    """By byte: is it blank, may it be of a digit, and which of `_FOLLOWING` it is, -1 for a part of one."""
    import numpy as np

    blank = np.array([byte in _BLANKS for byte in range(256)])
    digit = np.array([byte >= 0x80 or chr(byte).isdecimal() for byte in range(256)])
    kinds = [-1 if byte >= 0x80 else _kind(bytes([byte])) if byte else 0 for byte in range(256)]
    return blank, digit, np.array(kinds, np.int64)


class _Known:
    """Tokens of pieces by their hashes: an open-addressed table, at most half full.

    When it cannot grow any more, all are forgotten.
    """

    def __init__(self) -> None:
        self._empty(_FIRST_SLOTS)

    def _empty(self, slots: int) -> None:
        import numpy as np

        self._hashes = np.zeros(slots, np.uint64)
        self._tokens = np.full(slots, -1, np.int32)  # -1: nothing is here
        self._held = 0

    def find(self, hashes: Hashes) -> Counts:
        """Tokens of each, -1 where they are unknown."""
        import numpy as np

        mask = len(self._hashes) - 1
        slots = (hashes & np.uint64(mask)).astype(np.int64)
        tokens: Counts = self._tokens[slots]
        left = np.flatnonzero((self._hashes[slots] != hashes) & (tokens >= 0))
        while left.size:
            slots[left] = at = slots[left] + 1 & mask
            tokens[left] = self._tokens[at]
            left = left[(self._hashes[at] != hashes[left]) & (tokens[left] >= 0)]
        return tokens

    def add(self, hashes: Hashes, tokens: Counts) -> None:
        """Remember the tokens of pieces that are not known, each given once."""
        import numpy as np

        if 2 * (self._held + len(hashes)) > len(self._hashes):
            self._make_room()
        self._held += len(hashes)
        mask = len(self._hashes) - 1
        slots = (hashes & np.uint64(mask)).astype(np.int64)
        while len(hashes):
            free = self._tokens[slots] < 0
            # Of several that want one slot the last has it.
            self._hashes[slots[free]] = hashes[free]
            placed = free & (self._hashes[slots] == hashes)
            self._tokens[slots[placed]] = tokens[placed]
            hashes, tokens, slots = hashes[~placed], tokens[~placed], slots[~placed] + 1 & mask

    def _make_room(self) -> None:
        held = self._tokens >= 0
        hashes, tokens = self._hashes[held], self._tokens[held]
        if len(self._hashes) >= _MOST_SLOTS:
            self._empty(_MOST_SLOTS)
            return
        self._empty(len(self._hashes) * 4)
        self.add(hashes, tokens)
