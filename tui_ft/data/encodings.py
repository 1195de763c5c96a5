"""Which encoding the bytes of a text are in, and the command that turns the file into UTF-8.

UTF-16 and UTF-32 are told for certain, by their mark or their zero bytes, and are read as they are. A
one-byte encoding is only ever a guess: nothing in the bytes says whether 0xE9 is é or щ. Such a file is read
by the guess, and training waits until somebody has looked at it.
"""

from __future__ import annotations

import codecs
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from tui_ft.text import excerpt

_BOMS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
UTF8: Final = "UTF-8"
_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_C1 = re.compile(rb"[\x80-\x9f]")
_NOT_IN_1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
_ASCII = bytes(range(0x80))
_NO_LETTERS = bytes(byte for byte in range(256) if not chr(byte).isalpha() or byte >= 0x80)
_DAMAGE = "tui-ft-damage"

Chunks = Callable[[], Iterator[bytes]]


def _lone_surrogate(error: UnicodeError) -> tuple[str, int]:
    """A damaged piece becomes a lone surrogate, which no tokenizer takes and every check finds."""
    return "\udcff", error.end if isinstance(error, UnicodeDecodeError) else 0


codecs.register_error(_DAMAGE, _lone_surrogate)


@dataclass(frozen=True, slots=True)
class Encoding:
    """How to read a text. `name` is what iconv calls it.

    `certain` is False for a guess; then `line` and `offset` (of the first byte, 0-based) are where the text
    stops being UTF-8, and `seen` how that line reads by the guess.
    """

    name: str = UTF8
    certain: bool = True
    line: int = 1
    offset: int | None = None
    seen: str = ""

    @property
    def codec(self) -> str:
        """What Python calls it; a byte order mark is dropped."""
        return "utf-8-sig" if self.name == UTF8 else self.name

    @property
    def errors(self) -> str:
        """What becomes of damage in one place."""
        return "surrogateescape" if self.name == UTF8 else _DAMAGE


def wide_encoding(head: bytes) -> str | None:
    """UTF-16 or UTF-32, told by the byte order mark or by zero bytes in every other place."""
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name
    if len(head) >= 4 and b"\0" in head:
        even, odd = head[::2].count(0), head[1::2].count(0)
        if odd > 0.3 * len(head) and even < 0.05 * len(head):
            return "UTF-16LE"
        if even > 0.3 * len(head) and odd < 0.05 * len(head):
            return "UTF-16BE"
    return None


def encoding_of(chunks: Chunks) -> Encoding | None:
    """The encoding of a text that is not wide, after a look at all of it; None when it cannot be told.

    Damage in a few places leaves a text UTF-8.
    """
    offset = _first_not_utf8(chunks())
    if offset is None or _is_utf8_elsewhere(chunks()):
        return Encoding()
    if _is_no_latin(chunks()):
        return None
    name = _one_byte_encoding(chunks())
    if name is None:
        return Encoding()
    line, seen = _line_at(chunks(), offset)
    return Encoding(name, False, line, offset, excerpt(seen.decode(name, _DAMAGE)))


def conversion(path: Path, encoding: str) -> str:
    """The exact command that writes a file again, in UTF-8 and beside itself."""
    names = path.name.split(".", 1)
    target = path.with_name(f"{names[0]}.utf8.{names[1]}" if len(names) == 2 else f"{path.name}.utf8")
    source, destination = shlex.quote(str(path)), shlex.quote(str(target))
    if path.suffix == ".gz":
        return f"gunzip -c {source} | iconv -f {encoding} -t UTF-8 | gzip > {destination}"
    if path.suffix == ".zst":
        return f"zstd -dc {source} | iconv -f {encoding} -t UTF-8 | zstd > {destination}"
    return f"iconv -f {encoding} -t UTF-8 {source} > {destination}"


def _first_not_utf8(chunks: Iterable[bytes]) -> int | None:
    """Where the first byte stands that is not UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    passed = held = 0  # bytes; `held` of them are a character that is not complete yet
    for chunk in chain(chunks, (b"",)):
        if held or not chunk.isascii() or not chunk:
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                return passed - held + error.start
            held = len(decoder.getstate()[0])
        passed += len(chunk)
    return None


def _is_utf8_elsewhere(chunks: Iterable[bytes]) -> bool:
    """True when most bytes beyond ASCII are proper UTF-8: then the others are damage, not an encoding."""
    good = bad = 0
    for chunk in chunks:
        high = len(chunk.translate(None, _ASCII))
        proper = sum(len(found) for found in _MULTIBYTE.findall(chunk)) if high else 0
        good += proper
        bad += high - proper
    return good > bad


def _is_no_latin(chunks: Iterable[bytes]) -> bool:
    """True when letters beyond ASCII are no exception: Cyrillic, Greek, Chinese, Japanese and others."""
    high = letters = 0
    for chunk in chunks:
        high += len(chunk.translate(None, _ASCII))
        letters += len(chunk.translate(None, _NO_LETTERS))
    return high >= 50 and high > 0.4 * (high + letters)


def _one_byte_encoding(chunks: Iterable[bytes]) -> str | None:
    """The likeliest one-byte encoding: Windows uses bytes that Latin-1 leaves free, but for five."""
    windows = False
    for chunk in chunks:
        if b"\0" in chunk or _NOT_IN_1252.search(chunk):
            return None
        windows = windows or bool(_C1.search(chunk))
    return "WINDOWS-1252" if windows else "ISO-8859-1"


def _line_at(chunks: Iterable[bytes], offset: int) -> tuple[int, bytes]:
    """The number of the line a byte stands in, and the text around it."""
    line, passed = 1, 0
    for chunk in chunks:
        at = offset - passed
        if at < len(chunk):
            begin = max(chunk.rfind(b"\n", 0, at) + 1, at - 30)
            return line + chunk.count(b"\n", 0, at), chunk[begin : at + 60].split(b"\n", 1)[0]
        line += chunk.count(b"\n")
        passed += len(chunk)
    return line, b""
