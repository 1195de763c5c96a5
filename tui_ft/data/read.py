"""Rows out of files, one at a time, in flat memory. What cannot be read is yielded, not dropped."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, TextIO

from tui_ft.data.json_text import MAX_ROW, rows_of_document, rows_of_lines
from tui_ft.data.rows import RawRow, Unreadable
from tui_ft.data.sources import Source, locate, open_binary, open_text
from tui_ft.errors import InputError
from tui_ft.text import count, excerpt

# Excel writes the separator of a table above it.
_SEPARATOR = re.compile(r"sep=(.)\r?\n")
_READERS = {"jsonl": rows_of_lines, "json": rows_of_document}


class Meter:
    """How many bytes of the data files have been read, for a progress bar."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self.total_bytes = sum(source.size_bytes for source in sources)
        self._finished = 0
        self._current: BinaryIO | None = None

    @property
    def done_bytes(self) -> int:
        """Bytes behind the reader, compressed ones as they are on disk."""
        return self._finished + (self._current.tell() if self._current else 0)

    def begin(self, file: BinaryIO) -> None:
        """Reading goes on in `file`."""
        self._current = file

    def end(self, source: Source) -> None:
        """`source` has been read to its end."""
        self._current = None
        self._finished += source.size_bytes


def read(paths: Sequence[str], base: Path) -> Iterator[RawRow | Unreadable]:
    """Rows of all files behind the data paths of a recipe in the folder `base`.

    Raises InputError for a path or a file that cannot be read at all, EnvironmentProblem without a hub.
    """
    for source in locate(paths, base):
        yield from read_source(source)


def read_source(source: Source, meter: Meter | None = None) -> Iterator[RawRow | Unreadable]:
    """Rows of one file. Raises InputError when the file as a whole is damaged or not in UTF-8."""
    try:
        if source.kind in ("parquet", "arrow"):
            yield from _columnar(source, meter)
        else:
            text, raw = open_text(source)
            with raw, text:
                if meter:
                    meter.begin(raw)
                yield from _text_rows(text, source)
    except EOFError:
        raise InputError(
            "the compressed file ends too early", where=source.name, fix="Download or write it again."
        ) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=source.name) from None
    if meter:
        meter.end(source)


def _columnar(source: Source, meter: Meter | None) -> Iterator[RawRow]:
    from tui_ft.data.columnar import rows_of_arrow, rows_of_parquet

    file, raw = open_binary(source)
    with raw, file:
        if meter:
            meter.begin(raw)
        yield from (rows_of_parquet if source.kind == "parquet" else rows_of_arrow)(file, source)


def _text_rows(text: TextIO, source: Source) -> Iterator[RawRow | Unreadable]:
    if source.kind in ("csv", "tsv"):
        return _rows_of_table(text, source.name, "\t" if source.kind == "tsv" else None)
    if source.kind == "text":
        whole = ".md" in source.path.suffixes
        return _rows_of_prose(text, source.name, whole=whole)
    return _READERS[source.kind](text, source.name)


def _rows_of_table(text: TextIO, name: str, delimiter: str | None) -> Iterator[RawRow | Unreadable]:
    """Rows of a CSV file with a header. `line` is where a row begins; all values are strings."""
    csv.field_size_limit(MAX_ROW)
    first = text.readline(MAX_ROW)
    above = 0
    if said := _SEPARATOR.fullmatch(first):
        delimiter, first, above = said[1], text.readline(MAX_ROW), 1
    reader = csv.reader(_lines(first, text), delimiter=delimiter or _delimiter(first), strict=True)
    try:
        header = [column.strip() for column in next(reader)]
    except (csv.Error, StopIteration) as error:
        raise InputError(f"the header cannot be read: {error}", where=f"{name}:1") from None
    _check_header(header, name)
    seen = 0
    while True:
        line = above + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            seen += 1
            yield Unreadable(name, line, _csv_words(error))
            continue
        if not cells:
            continue
        seen += 1
        if len(cells) != len(header):
            what = f"{count(len(cells), 'value')} for {count(len(header), 'column')}"
            what += "; a text with commas or line breaks needs quotes"
            yield Unreadable(name, line, what, excerpt(" | ".join(cells)))
            continue
        yield RawRow(name, line, dict(zip(header, cells, strict=True)))
    if not seen:
        raise InputError(
            "there are column names and no rows", where=name, fix="Put at least 50 rows into it."
        )


def _lines(first: str, text: TextIO) -> Iterator[str]:
    yield first
    yield from text


def _delimiter(header: str) -> str:
    """A comma, unless the header has none and has what spreadsheets write in its place."""
    return next((mark for mark in (",", ";", "\t", "|") if mark in header), ",")


def _check_header(header: list[str], name: str) -> None:
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        named = excerpt(twice[0]) or "(empty)"
        raise InputError(
            f"two columns are called {named!r}", where=f"{name}:1", fix="Give every column its own name."
        )
    if all(len(column) > 60 or not column for column in header):
        raise InputError(
            "the first line does not look like column names",
            where=f"{name}:1",
            fix="Put the names of the columns into the first line, e.g. prompt,completion.",
        )


def _csv_words(error: csv.Error) -> str:
    words = str(error)
    if "unexpected end of data" in words:
        return "a quoted text begins here and never ends, so nothing after it was read; a quote is missing"
    if "field larger" in words:
        return f"a value is longer than {MAX_ROW >> 20} MiB; a closing quote is probably missing"
    if "expected after" in words:
        return 'a quote inside a quoted text; write it twice: ""'
    return words


def _rows_of_prose(text: TextIO, name: str, *, whole: bool) -> Iterator[RawRow]:
    """Documents of a plain text file: the whole of it, or what blank lines separate."""
    if whole:
        content = text.read().strip()
        if content:
            yield RawRow(name, 1, {"text": content})
        return
    lines: list[str] = []
    begin = number = 0
    for number, line in enumerate(text, 1):
        if line.strip():
            begin = begin if lines else number
            lines.append(re.sub(r"\r?\n$", "\n", line))
        elif lines:
            yield RawRow(name, begin, {"text": "".join(lines).strip()})
            lines = []
    if lines:
        yield RawRow(name, begin, {"text": "".join(lines).strip()})
