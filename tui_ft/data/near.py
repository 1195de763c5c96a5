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

import re
from collections.abc import Iterable, Iterator, Sequence
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from tui_ft.data.rows import Message, Row
from tui_ft.stretches import MOST_BYTES, stretch_hashes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tui_ft.stretches import Hashes, Indices

    Signatures = NDArray[np.uint32]  # rows x PERMUTATIONS

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
_ROW = Struct(f"={PERMUTATIONS}I")
_COMMON_SHARE = 0.02
_LONGEST = 200_000  # characters of one text that are looked at
_PAIRS = 100_000
_MIX = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)

# Punctuation between words is left out. Signs that a formula or a program lives by stay.
_PLAIN = bytes(
    0x20 if chr(code) in ".,;:!?\"'()[]{}`\t\n\r\v\f" else ord(chr(code).lower()) if code < 0x80 else code
    for code in range(256)
)
_TYPOGRAPHY = (*((mark, " ") for mark in "‘’“”…«»\u00a0"), ("–", "-"), ("—", "-"))
_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
_WORDS = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+|[-+*/=<>%$#@&^~|\\]+")


def plain(text: str) -> bytes:
    """The words of a text in lower case, parted by blanks; characters where no blanks part words."""
    for mark, simple in () if text.isascii() else _TYPOGRAPHY:
        text = text.replace(mark, simple)
    if text.isascii():
        return text.encode().translate(_PLAIN)
    return " ".join(_WORDS.findall(text.casefold())).encode("utf-8", "replace")


def said(turn: Message) -> str:
    """All that a turn says: its text and the calls it makes."""
    calls = turn.get("tool_calls")
    return f"{turn['content']} {[call['function'] for call in calls]}" if calls else turn["content"]


def own_texts(row: Row) -> Iterator[bytes]:
    """What a row is compared by, as plain texts: all turns but the system's, or its text."""
    if row.text is not None:
        yield plain(row.text[:_LONGEST])
    for turn in row.dialogue:
        if turn["role"] != "system":
            yield plain(said(turn)[:_LONGEST])
    if row.rejected is not None:
        yield plain(row.rejected[:_LONGEST])


def hashed(texts: Sequence[bytes]) -> tuple[Hashes, Indices]:
    """64 bits for each word of plain texts, one text after the other, and how many words each has."""
    import numpy as np

    owners: list[int] = []
    found: list[tuple[Hashes, Indices]] = []
    together: list[bytes] = []
    room = MOST_BYTES
    for owner, text in enumerate(texts):
        for piece in _pieces(text):
            if (room := room - len(piece) - 1) < 1:
                found.append(_hashed(together))
                together, room = [], MOST_BYTES - len(piece) - 1
            together.append(piece)
            owners.append(owner)
    found.append(_hashed(together))
    numbers = np.bincount(owners, np.concatenate([n for _, n in found]), len(texts)).astype(np.int64)
    return np.concatenate([hashes for hashes, _ in found]), numbers


def _pieces(text: bytes) -> Iterator[bytes]:
    """The text, or pieces of it that can be hashed at once; a word that long is cut as well."""
    begin, most = 0, MOST_BYTES - 2
    while len(text) - begin > most:
        end = text.rfind(b" ", begin + 1, begin + most)
        end = end if end > 0 else begin + most
        yield text[begin:end]
        begin = end
    yield text[begin:] if begin else text


def _hashed(texts: Sequence[bytes]) -> tuple[Hashes, Indices]:
    import numpy as np

    data = np.frombuffer(b" " + b" ".join(texts) + b" ", np.uint8)
    blank = data == ord(" ")
    edges = np.flatnonzero(blank[1:] != blank[:-1]) + 1
    begins, ends = edges[::2], edges[1::2]
    sizes = np.fromiter(map(len, texts), np.int64, len(texts))
    first = np.searchsorted(begins, np.cumsum(sizes + 1) - sizes)
    return stretch_hashes(data, begins, ends), np.diff(first, append=len(begins))


def shingles(words: Hashes, numbers: Indices) -> tuple[Hashes, Indices]:
    """Hashes of the runs of three words of each row, and the index of the row each belongs to.

    `words` are the hashes of the words of all rows, `numbers` how many each row has.
    """
    import numpy as np

    row_of = np.repeat(np.arange(len(numbers)), numbers)
    if len(words) < SHINGLE:
        return words[:0], row_of[:0]
    a, b, c = (np.uint64(factor) for factor in _MIX)
    mixed = words[:-2] * a + (words[1:-1] ^ (words[1:-1] >> np.uint64(29))) * b + words[2:] * c
    mixed ^= mixed >> np.uint64(32)
    mixed *= a
    mixed ^= mixed >> np.uint64(29)
    inside = row_of[:-2] == row_of[2:]
    return mixed[inside], row_of[:-2][inside]


def common_shingles(rows: Iterable[Row]) -> Hashes:
    """Shingles, sorted, that more than ten and more than 2 % of these different rows have."""
    import numpy as np

    different = sorted({b" ".join(b" ".join(own_texts(row)).split()) for row in rows})
    hashes, row_of = shingles(*hashed(different))
    once = np.unique(np.stack((hashes, row_of.astype(np.uint64))), axis=1)[0] if len(hashes) else hashes
    values, counts = np.unique(once, return_counts=True)
    return values[counts > max(FORM, _COMMON_SHARE * len(different))]


def signatures(words: Hashes, numbers: Indices, common: Hashes) -> tuple[Signatures, Indices]:
    """MinHash signatures of rows, given as to `shingles`, and how many shingles each rests on."""
    import numpy as np
    from rensa import RMinHash

    hashes, row_of = shingles(words, numbers)
    if len(common) and len(hashes):
        at = np.searchsorted(common, hashes)
        at[at == len(common)] = 0
        own = common[at] != hashes
        hashes, row_of = hashes[own], row_of[own]
    counts = np.bincount(row_of, minlength=len(numbers))
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.uint64)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, PERMUTATIONS, _SEED)
    flat = b"".join([_ROW.pack(*minima) for minima in matrix.to_rows()])
    return np.frombuffer(flat, np.uint32).reshape(-1, PERMUTATIONS), counts


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
        several = shared(key)
        order = several[np.argsort(key[several], kind="stable")]
        ordered = key[order]
        begins = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))[: len(order)])
        sizes = np.diff(np.append(begins, len(order)))
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


def shared(keys: NDArray[Any]) -> Indices:
    """Where keys stand that come more than once, and few others: in order, far sooner than by sorting all."""
    import numpy as np

    slots = (keys.astype(np.uint64) * np.uint64(_MIX[1])) >> np.uint64(
        64 - max(4, (8 * len(keys)).bit_length())
    )
    own = np.arange(len(keys), dtype=np.int32)
    last = np.empty(1 << max(4, (8 * len(keys)).bit_length()), np.int32)
    last[slots] = own
    taken = np.zeros(len(last), np.bool_)
    taken[slots[last[slots] != own]] = True
    return np.flatnonzero(taken[slots])


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
