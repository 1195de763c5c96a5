"""Whether a word is another one, misspelt."""

from __future__ import annotations

import re

# With one of these in front a word means the opposite, without being misspelt.
_NEGATIONS = ("un", "in", "im", "ir", "il", "a", "dis", "non", "not", "anti", "mis", "de", "ab")
_FORM = re.compile(r"[\W_]+")


def same_but_for_form(one: str, other: str) -> bool:
    """Equal but for case, blanks and punctuation, as "Not sure" and "not_sure." are."""
    return one != other and bool(bare := _bare(one)) and bare == _bare(other)


def misspelt(rare: str, usual: str) -> bool:
    """Whether `rare` looks like `usual` with a slip: one edit from 4 letters on, two from 8 on."""
    if same_but_for_form(rare, usual):
        return True
    one, other = _bare(rare), _bare(usual)
    if min(len(one), len(other)) < 4 or re.sub(r"\D", "", one) != re.sub(r"\D", "", other):
        return False
    short, long = sorted((one, other), key=len)
    if any(long == prefix + short for prefix in _NEGATIONS):
        return False
    return one != other and _edits(one, other) <= (2 if min(len(one), len(other)) >= 8 else 1)


def _bare(text: str) -> str:
    return _FORM.sub("", text.casefold())


def _edits(one: str, other: str) -> int:
    """How many letters have to be put in, taken out, changed or swapped with their neighbour."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        earlier, before, row = before, row, [i] + [0] * len(other)
        for j, b in enumerate(other, 1):
            row[j] = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                row[j] = min(row[j], earlier[j - 2] + 1)
    return row[-1]
