"""Text for people: untrusted text made harmless, numbers with units, nearest names."""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections.abc import Iterable

GIB = 1 << 30

# Bidirectional controls, zero-width characters and the BOM: they reorder or hide what a reader sees.
_INVISIBLE = frozenset(
    [*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF, 0x061C, 0x00AD]
    + [*range(0xFFF9, 0xFFFC), *range(0xE0000, 0xE0080)]
)
_MAX_COMBINING = 3
# A whole escape sequence goes at once: dropping only ESC would leave its parameters as readable rubbish.
_ESCAPE = re.compile(
    r"(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|$)"  # OSC … BEL or ST
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c]*(?:\x1b\\|\x9c|$)"  # DCS, SOS, PM, APC … ST
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI
    r"|\x1b[ -/]*[0-~]?"  # other escapes
)


def sanitize(text: str, *, multiline: bool = False) -> str:
    """Text from data, models, files or exceptions, safe to send to a terminal. Idempotent.

    Removes escape sequences, C0 and C1 controls, bidi and zero-width characters, lone surrogates, and
    combining marks beyond three in a row. Tabs and newlines become a space unless `multiline`.
    """
    kept: list[str] = []
    combining = 0
    for char in _ESCAPE.sub("", text):
        code = ord(char)
        if char in "\t\n\r":
            kept.append(char if multiline and char == "\n" else " ")
            combining = 0
            continue
        if code < 0x20 or 0x7F <= code < 0xA0 or code in _INVISIBLE or 0xD800 <= code < 0xE000:
            continue
        if unicodedata.combining(char):
            combining += 1
            if combining > _MAX_COMBINING:
                continue
        else:
            combining = 0
        kept.append(char)
    return "".join(kept)


def excerpt(text: str, width: int = 60) -> str:
    """One sanitised line of at most `width` characters, cut with an ellipsis."""
    line = " ".join(sanitize(text[: width * 8]).split())
    return line if len(line) <= width else line[: max(0, width - 1)] + "…"


def nearest(name: str, known: Iterable[str], *, count: int = 3) -> list[str]:
    """The known names most like `name`, best first; ignores case. Empty when nothing is close."""
    by_folded = {k.casefold(): k for k in known}
    folded = name.casefold()
    hits = difflib.get_close_matches(folded, by_folded, n=count, cutoff=0.55)
    inside = [k for k in by_folded if len(folded) >= 4 and folded in k and k not in hits]
    return [by_folded[k] for k in [*hits, *inside][:count]]


def gib(size_bytes: float | None, *, digits: int = 1) -> str:
    """Bytes as GiB (2**30), or "unknown"."""
    return "unknown" if size_bytes is None else f"{size_bytes / GIB:,.{digits}f} GiB"


def size(size_bytes: float | None) -> str:
    """Bytes in the unit that reads best: B, KiB, MiB or GiB; "unknown" when None."""
    if size_bytes is None:
        return "unknown"
    for unit, limit in (("B", 1 << 10), ("KiB", 1 << 20), ("MiB", 1 << 30)):
        if size_bytes < limit:
            return f"{size_bytes * 1024 / limit:,.0f} {unit}"
    return gib(size_bytes)


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 row`, `1,204 rows`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def duration(seconds: float | None) -> str:
    """Seconds as people say it: `8 s`, `4 min`, `2 h 05 min`; "unknown" for None or non-finite."""
    if seconds is None or not math.isfinite(seconds):
        return "unknown"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 10:
        return f"{minutes} min {rest:02d} s"
    if minutes < 60:
        return f"{minutes + (rest >= 30)} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def parameters(number: int | None) -> str:
    """A parameter count the way model cards write it: `135M`, `8.03B`."""
    if number is None:
        return "unknown"
    if number >= 1_000_000_000:
        return f"{number / 1e9:.2f}B"
    return f"{number / 1e6:.1f}M" if number < 10_000_000 else f"{number / 1e6:.0f}M"


def percent(share: float | None, *, digits: int = 0) -> str:
    """A share of 1 as `62 %`; "unknown" when None."""
    return "unknown" if share is None else f"{share * 100:.{digits}f} %"
