"""Rows that say nearly the same: MinHash over what is a row's own, and locality-sensitive hashing.

A row is the set of its runs of three words (shingles), without system prompt and tools. Runs that many of
the rows looked at first have in common, such as a fixed instruction, are left out. 64 minima of hashes
(rensa's RMinHash) stand for the set; two rows agree in a share of them that estimates the Jaccard
similarity J of their sets, give or take sqrt(J (1 - J) / 64), about 0.05. Rows that agree in one of 16 bands
of 4 minima are compared; at J = 0.8 all but 2 of 10,000 pairs are.

What more than ten different rows have in common is their form, not a copy: a minimum that more than ten
rows share is left out of the comparison. So two hundred rows made by one template do not count as copies
of each other, while two of them with the same content do.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Final

from tui_ft.data.rows import Message, Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]
    Signatures = NDArray[np.uint32]  # rows x PERMUTATIONS
    Indices = NDArray[np.int64]

PERMUTATIONS: Final = 64
BAND: Final = 4
SHINGLE: Final = 3
# From this estimated similarity of what is their own on, two rows are near duplicates.
SIMILAR: Final = 0.8
# What more different rows than this share is form.
FORM: Final = 10
# Fewer shingles, or fewer minima to compare, tell nothing.
LEAST: Final = 8

_SEED = 20
_COMMON_SHARE = 0.02
_LONGEST = 200_000  # characters of one text that are looked at
_KNOWN = 300_000
_PAIRS = 100_000
_MIX = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)

# Punctuation between words is left out. Signs that a formula or a program lives by stay.
_PLAIN = bytes(
    0x20 if chr(code) in ".,;:!?\"'()[]{}`" else ord(chr(code).lower()) if code < 0x80 else code
    for code in range(256)
)
_TYPOGRAPHY = (*((mark, " ") for mark in "‘’“”…«»\u00a0"), ("–", "-"), ("—", "-"))
_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
_WORDS = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+|[-+*/=<>%$#@&^~|\\]+")


def words(text: str) -> list[bytes]:
    """The words of a text in lower case without punctuation; characters where no blanks part words."""
    for mark, plain in () if text.isascii() else _TYPOGRAPHY:
        text = text.replace(mark, plain)
    if text.isascii():
        return text.encode().translate(_PLAIN).split()
    return [word.encode("utf-8", "replace") for word in _WORDS.findall(text.casefold())]


def said(turn: Message) -> str:
    """All that a turn says: its text and the calls it makes."""
    calls = turn.get("tool_calls")
    return f"{turn['content']} {[call['function'] for call in calls]}" if calls else turn["content"]


def own_words(row: Row) -> Iterator[bytes]:
    """The words a row is compared by: those of all turns but the system's, or of its text."""
    if row.text is not None:
        yield from words(row.text[:_LONGEST])
    for turn in row.dialogue:
        if turn["role"] != "system":
            yield from words(said(turn)[:_LONGEST])
    if row.rejected is not None:
        yield from words(row.rejected[:_LONGEST])


class _Hashes(dict[bytes, int]):
    """64 bits of a hash of each word, remembered: words come again and again."""

    def __missing__(self, word: bytes) -> int:
        if len(self) >= _KNOWN:
            self.clear()
        self[word] = value = int.from_bytes(hashlib.blake2b(word, digest_size=8).digest())
        return value


_hashes = _Hashes()


def hashed(told: Iterable[bytes]) -> array[int]:
    """64 bits per word."""
    return array("Q", map(_hashes.__getitem__, told))


def shingles(rows: Sequence[array[int]]) -> tuple[Hashes, Indices]:
    """Hashes of the runs of three words of each row, and the index of the row each belongs to.

    Rows are given by the hashes of their own words.
    """
    import numpy as np

    ids = np.frombuffer(b"".join(rows), np.uint64)
    row_of = np.repeat(np.arange(len(rows)), np.fromiter(map(len, rows), np.int64, len(rows)))
    if len(ids) < SHINGLE:
        return ids[:0], row_of[:0]
    a, b, c = (np.uint64(factor) for factor in _MIX)
    mixed = ids[:-2] * a + (ids[1:-1] ^ (ids[1:-1] >> np.uint64(29))) * b + ids[2:] * c
    mixed ^= mixed >> np.uint64(32)
    mixed *= a
    mixed ^= mixed >> np.uint64(29)
    inside = row_of[:-2] == row_of[2:]
    return mixed[inside], row_of[:-2][inside]


def common_shingles(rows: Iterable[Row]) -> Hashes:
    """Shingles, sorted, that more than ten and more than 2 % of these different rows have."""
    import numpy as np

    different = {hashed(own_words(row)).tobytes() for row in rows}
    hashes, row_of = shingles([array("Q", row) for row in sorted(different)])
    once = np.unique(np.stack((hashes, row_of.astype(np.uint64))), axis=1)[0] if len(hashes) else hashes
    values, counts = np.unique(once, return_counts=True)
    return values[counts > max(FORM, _COMMON_SHARE * len(different))]


def signatures(rows: Sequence[array[int]], common: Hashes) -> tuple[Signatures, Indices]:
    """MinHash signatures of rows given by the hashes of their words, and how many shingles each rests on."""
    import numpy as np
    from rensa import RMinHash

    hashes, row_of = shingles(rows)
    if len(common) and len(hashes):
        at = np.searchsorted(common, hashes)
        at[at == len(common)] = 0
        own = common[at] != hashes
        hashes, row_of = hashes[own], row_of[own]
    counts = np.bincount(row_of, minlength=len(rows))
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.uint64)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, PERMUTATIONS, _SEED)
    flat = np.fromiter(chain.from_iterable(matrix.to_rows()), np.uint32, len(rows) * PERMUTATIONS)
    return flat.reshape(-1, PERMUTATIONS), counts


def leaders(found: Signatures, able: NDArray[np.bool_]) -> Indices:
    """For each row the first row it is a near duplicate of, by steps if need be; itself when there is none.

    Rows that are not `able` take no part: too short ones, and all but one of rows that are the same.
    """
    import numpy as np

    leader = np.arange(len(found))
    pairs = _candidates(found, np.flatnonzero(able))
    if not len(pairs):
        return leader
    members = np.unique(pairs)
    form = _form(found, members)
    for begin in range(0, len(pairs), _PAIRS):
        a, b = (np.searchsorted(members, side) for side in pairs[begin : begin + _PAIRS].T)
        free = ~(form[a] | form[b])
        equal = (found[members[a]] == found[members[b]]) & free
        compared = free.sum(axis=1)
        near = (compared >= LEAST) & (equal.sum(axis=1) >= SIMILAR * compared)
        for first, second in zip(members[a[near]].tolist(), members[b[near]].tolist(), strict=True):
            _join(leader, first, second)
    for row in members.tolist():
        leader[row] = _lead(leader, row)
    return leader


def _candidates(found: Signatures, rows: Indices) -> Indices:
    """Pairs of rows, the earlier first, that agree in a whole band with no more than ten rows."""
    import numpy as np

    pairs: list[Hashes] = []
    for band in range(0, PERMUTATIONS, BAND):
        key = np.zeros(len(rows), np.uint64)
        for slot in range(band, band + BAND):
            key = (key ^ found[rows, slot]) * np.uint64(_MIX[0])
            key ^= key >> np.uint64(31)
        order = np.argsort(key, kind="stable")
        ordered = key[order]
        begins = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))[: len(rows)])
        sizes = np.diff(np.append(begins, len(rows)))
        few = (sizes > 1) & (sizes <= FORM)
        for step in range(1, FORM):
            longer = begins[few & (sizes > step)]
            if not len(longer):
                break
            # Each with the first of its group, and with the one before it.
            for other in {0, step - 1}:
                first, second = rows[order[longer + other]], rows[order[longer + step]]
                pairs.append(first.astype(np.uint64) << np.uint64(32) | second.astype(np.uint64))
    if not pairs:
        return np.zeros((0, 2), np.int64)
    packed = np.unique(np.concatenate(pairs))
    return np.stack((packed >> np.uint64(32), packed & np.uint64(0xFFFFFFFF)), axis=1).astype(np.int64)


def _form(found: Signatures, members: Indices) -> NDArray[np.bool_]:
    """Which minima of these rows more than ten of them share."""
    import numpy as np

    form = np.zeros((len(members), PERMUTATIONS), np.bool_)
    for slot in range(PERMUTATIONS):
        _, inverse, counts = np.unique(found[members, slot], return_inverse=True, return_counts=True)
        form[:, slot] = counts[inverse] > FORM
    return form


def _lead(leader: Indices, row: int) -> int:
    while (above := int(leader[row])) != row:
        leader[row] = leader[above]
        row = above
    return row


def _join(leader: Indices, first: int, second: int) -> None:
    a, b = _lead(leader, first), _lead(leader, second)
    leader[max(a, b)] = min(a, b)
