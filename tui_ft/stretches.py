"""Hashes of many stretches of a text at once: of words, or of the pieces between two cuts.

Each byte stands for a fixed 64-bit number c. A stretch hashes to the sum of c[i] B^i over its bytes, modulo
2**64 and counted from its begin, so sums over a whole text, taken once, give the hash of every stretch.
B is odd, so that its powers have inverses; the result is mixed by the last steps of splitmix64. Two of a
million different stretches agree with a chance of about 10^-7. It is no protection against an attacker.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]
    Indices = NDArray[np.int64]

# Bytes that are hashed at once: tables of this size fit into a processor's cache, longer ones would not.
MOST_BYTES: Final = 1 << 16
_GOLDEN: Final = 0x9E3779B97F4A7C15
_MIX: Final = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_BASE: Final = 0xD1342543DE82EF95


def stretch_hashes(
    data: NDArray[np.uint8], begins: Indices, ends: Indices, salts: Hashes | int = 0
) -> Hashes:
    """64 bits for each stretch of `data` from a begin to before its end, different for different salts.

    At most `MOST_BYTES` bytes. The empty stretch has a hash as well.
    """
    import numpy as np

    codes, powers, inverses = _tables()
    sums = np.zeros(len(data) + 1, np.uint64)
    # In place: arrays of this size are not given from one operation to the next.
    after = sums[1:]
    np.take(codes, data, out=after, mode="clip")
    after *= powers[: len(data)]
    np.cumsum(after, out=after)
    return mixed((sums[ends] - sums[begins]) * inverses[begins] + np.asarray(salts, np.uint64))


def mixed(values: Hashes) -> Hashes:
    """Values spread over all 64 bits: the last steps of splitmix64."""
    import numpy as np

    values = (values ^ (values >> np.uint64(30))) * np.uint64(_MIX[0])
    values = (values ^ (values >> np.uint64(27))) * np.uint64(_MIX[1])
    return values ^ (values >> np.uint64(31))


@cache
def _tables() -> tuple[Hashes, Hashes, Hashes]:
    """A number for each byte, the powers of the base, and their inverses."""
    import numpy as np

    codes = mixed(np.arange(1, 257, dtype=np.uint64) * np.uint64(_GOLDEN))
    inverse = pow(_BASE, -1, 1 << 64)
    powers, inverses = np.ones((2, MOST_BYTES), np.uint64)
    powers[1:], inverses[1:] = _BASE, inverse
    return codes, np.cumprod(powers), np.cumprod(inverses)
