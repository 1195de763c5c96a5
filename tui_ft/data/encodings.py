"""Bytes that are not UTF-8: which encoding they are in, and the command that mends the file."""

from __future__ import annotations

import codecs
import io
import re
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from tui_ft.errors import InputError

_BOMS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_C1 = re.compile(rb"[\x80-\x9f]")


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


def is_utf8_elsewhere(chunks: Iterable[bytes]) -> bool:
    """True when the bytes hold proper UTF-8 characters: then a bad byte is damage, not another encoding."""
    good = bad = 0
    for chunk in chunks:
        high = sum(byte >= 0x80 for byte in chunk)
        proper = sum(len(found) for found in _MULTIBYTE.findall(chunk))
        good += proper
        bad += high - proper
    return good > bad


def one_byte_encoding(chunks: Iterable[bytes]) -> str:
    """The likeliest one-byte encoding: Windows uses bytes that Latin-1 leaves free."""
    return "WINDOWS-1252" if any(_C1.search(chunk) for chunk in chunks) else "ISO-8859-1"


def encoding_error(path: Path, shown: str, encoding: str) -> InputError:
    """What to tell about a text file in `encoding`, with the exact command that converts it."""
    names = path.name.split(".", 1)
    target = path.with_name(f"{names[0]}.utf8.{names[1]}" if len(names) == 2 else f"{path.name}.utf8")
    source, destination = shlex.quote(str(path)), shlex.quote(str(target))
    if path.suffix == ".gz":
        command = f"gunzip -c {source} | iconv -f {encoding} -t UTF-8 | gzip > {destination}"
    elif path.suffix == ".zst":
        command = f"zstd -dc {source} | iconv -f {encoding} -t UTF-8 | zstd > {destination}"
    else:
        command = f"iconv -f {encoding} -t UTF-8 {source} > {destination}"
    return InputError(f"the text is in {encoding}, not UTF-8", where=shown, fix=f"Convert it:  {command}")


class Utf8Guard(io.RawIOBase):
    """Passes bytes through and watches that they are UTF-8.

    At the first byte that is not, `judge` is asked once; it raises when the whole file is in another
    encoding. When it returns, the byte is damage in one place and the reader goes on.
    """

    def __init__(self, source: BinaryIO, judge: Callable[[], None]) -> None:
        self._source = source
        self._judge = judge
        self._decoder: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")("strict")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # io only ever passes a memoryview
        chunk = self._source.read(len(buffer))
        buffer[: len(chunk)] = chunk
        if self._decoder is not None:
            try:
                self._decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError:
                self._decoder = None
                self._judge()
        return len(chunk)

    def close(self) -> None:
        self._source.close()
        super().close()
