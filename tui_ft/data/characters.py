"""Characters that should not be in a text: controls, invisible ones, and text decoded the wrong way.

Each check has its cure beside it, a text → text function that is idempotent.
"""

from __future__ import annotations

import re
from typing import Final

from tui_ft.data.look import Look
from tui_ft.text import excerpt

# Tab, line feed and carriage return are text; everything else below space, DEL and C1 is not.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_NOT_CONTROL: Final = bytes(set(range(256)) - {*range(9), 11, 12, *range(14, 32), 127})
# A whole escape sequence goes at once: dropping only ESC would leave its parameters as readable rubbish.
# A sequence that does not end loses its beginning only, so that no text goes with it.
_ESCAPE = re.compile(
    r"(?:\x1b\]|\x9d)[^\x00-\x1f\x7f-\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x00-\x1f\x7f-\x9f]*(?:\x1b\\|\x9c)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|\x1b[()*+][0-9A-Za-z]|\x1b[78=>cDEHMNOZ]"
)

_INVISIBLE = re.compile(
    "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\u3164\ufeff\ufff9-\ufffb"
    "\U000e0001-\U000e007f]"
)
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_NO_SPACES = ((0x0E00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x1950, 0x19DF), (0x3040, 0x9FFF))
# Scripts whose letters change with a joiner: Arabic and its kin, the Indic ones, Mongolian.
_JOINED = ((0x0600, 0x08FF), (0x0900, 0x0DFF), (0x0F00, 0x109F), (0x1780, 0x18AF), (0xFB50, 0xFEFC))
_EMOJI = ((0x200D, 0x200D), (0x2190, 0x2BFF), (0xFE0F, 0xFE0F), (0x1F000, 0x1FAFF), (0xE0020, 0xE007F))

# The bytes 80 to BF as Windows-1252 shows them; the five it leaves free stand for themselves.
_TAIL = "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(0x80, 0xC0))
_BYTES: Final = {char: byte for byte, char in enumerate(_TAIL, 0x80)}
_T = f"[{re.escape(_TAIL)}]"
# Quotes, dashes, blanks and signs that may well follow a capital letter.
_PLAIN_TAIL = f"[{re.escape(''.join(sorted(set(_TAIL) - set('“”„‘’‚…–—™›‹'))))}]"
# Bytes of UTF-8 read as Windows-1252. Each kind of lead byte is followed by what no language has there.
_MOJIBAKE = re.compile(
    rf"(?<=[a-zß-ÿ])[ÂÃ]{_T}|(?<![A-ZÀ-Þ])[ÂÃ]{_PLAIN_TAIL}|[ÂÃ]{_T}(?=[a-zà-ÿ])"  # Latin: Ã© for é
    rf"|(?<=[a-zß-ÿ])[ÄÅ]{_PLAIN_TAIL}"  # Central European: Å¡ for š
    rf"|(?:[ÎÏ]{_T}){{3,}}|(?:[ÐÑ]{_T}){{3,}}"  # Greek, Cyrillic
    rf"|â(?:€{_T}|„¢|‚¬|†{_T}|ˆ{_T}|œ{_T}|”{_T}|š{_T}|˜{_T}|ž{_T})"  # ’ “ – ™ € → ✅
    rf"|(?:[ãä-é]{_T}{_T}){{3,}}"  # Chinese, Japanese, Korean
    rf"|ðŸ{_T}{_T}"  # emoji
    r"|ï»¿|ï¿½"  # a byte order mark, a replacement character
    # The same by way of Latin-1, which leaves control characters behind: no text has them after a letter.
    r"|[\xc2-\xdf][\x80-\x9f]|[\xe0-\xef](?:[\x80-\x9f][\x80-\xbf]|[\x80-\xbf][\x80-\x9f])"
    r"|[\xf0-\xf4](?=[\x80-\xbf]{0,2}[\x80-\x9f])[\x80-\xbf]{3}"
)
_LOST = re.compile("\ufffd|â€(?=[\\s.,;:!?)a-zA-Z]|$)")
# Nearly no text has any of these among its characters beyond ASCII.
_SUSPECT = re.compile(f"[ÂÃÄÅÎÏÐÑâï]{_T}|[\x80-\x9f\ufffdð]|â€|(?:[ãä-é]{_T}{_T}){{2}}")
_AROUND = 25


def control_characters(seen: Look) -> str | None:
    """Control characters and terminal escapes, but not tabs and line breaks."""
    if not seen.sketch.translate(None, _NOT_CONTROL) and not _CONTROL.search(seen.beyond):
        return None
    # C1 controls within wrongly decoded text are that text's fault.
    text = mended(seen.whole)
    if not (found := _CONTROL.search(text)):
        return None
    return f"{_near(text, found.start())} (U+{ord(found[0]):04X})"


def invisible_characters(seen: Look) -> str | None:
    """Characters that cannot be seen where no script and no emoji needs them."""
    if not _INVISIBLE.search(seen.beyond):
        return None
    for found in _INVISIBLE.finditer(seen.whole):
        if not _needed(seen.whole, found.start()):
            return f"{_near(seen.whole, found.start())} (U+{ord(found[0]):04X})"
    return None


def mojibake(seen: Look) -> str | None:
    """UTF-8 that was read as Windows-1252, and characters that were lost on the way."""
    if not seen.beyond or not _SUSPECT.search(seen.beyond):
        return None
    if found := _MOJIBAKE.search(seen.whole):
        better = mended(found[0])
        meant = f" ({excerpt(found[0], 16)} for {excerpt(better, 16)})" if better.strip() else ""
        return _near(seen.whole, found.start()) + meant
    if found := _LOST.search(seen.whole):
        return _near(seen.whole, found.start()).replace("\ufffd", "U+FFFD")
    return None


def without_control(text: str) -> str:
    """The text without control characters and escape sequences; tabs and line breaks stay."""
    return _CONTROL.sub("", _ESCAPE.sub("", text))


def without_invisible(text: str) -> str:
    """The text without characters that cannot be seen, where no script and no emoji needs them."""
    while (better := _seen_only(text)) != text:
        text = better
    return text


def mended(text: str) -> str:
    """The text with UTF-8 that was read as Windows-1252 put right, where its bytes prove it."""
    while (better := _MOJIBAKE.sub(_decoded, text)) != text:
        text = better
    return text


def _decoded(found: re.Match[str]) -> str:
    raw = bytes(_BYTES.get(char) or ord(char) for char in found[0])
    try:
        decoded = raw.decode()
    except UnicodeDecodeError:
        return found[0]
    return "" if decoded == "\ufeff" else decoded


def _seen_only(text: str) -> str:
    return _INVISIBLE.sub(lambda found: found[0] if _needed(text, found.start()) else "", text)


def _needed(text: str, at: int) -> bool:
    """Whether the invisible character at this place does its job."""
    char, before, after = text[at], text[at - 1 : at], text[at + 1 : at + 2]
    if char in "\u200e\u200f\u061c\u202a\u202b\u202c\u2066\u2067\u2068\u2069":
        return _RIGHT_TO_LEFT.search(text) is not None
    if char == "\u200b":
        return _within(before, _NO_SPACES) or _within(after, _NO_SPACES)
    if char in "\u200c\u200d":
        joins = _within(before, _JOINED) or _within(after, _JOINED)
        return joins or (char == "\u200d" and _within(before, _EMOJI) and _within(after, _EMOJI))
    if char == "\u180e":
        return _within(before, _JOINED)
    # Tags spell out the region of a flag, e.g. of Scotland; elsewhere they are text that nobody sees.
    return char >= "\U000e0020" and _within(before, _EMOJI)


def _within(char: str, ranges: tuple[tuple[int, int], ...]) -> bool:
    return bool(char) and any(low <= ord(char) <= high for low, high in ranges)


def _near(text: str, at: int) -> str:
    return excerpt(text[max(0, at - _AROUND) : at + 35])
