"""Long plain texts in pieces of the length limit, so that no token is lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def windows(
    ids: Sequence[int], trained: Sequence[bool], seq_len: int
) -> Iterator[tuple[Sequence[int], Sequence[bool]]]:
    """Pieces of at most `seq_len` tokens (at least 2), and which tokens of each are learned.

    Every piece but the first begins with the last token of the one before, which is only read there: a
    model predicts each token from those before it, so the first token of a piece is never learned.
    """
    for begin in range(0, max(1, len(ids) - 1), seq_len - 1):
        end = begin + seq_len
        learned = trained[begin:end] if begin == 0 else (False, *trained[begin + 1 : end])
        yield ids[begin:end], learned
