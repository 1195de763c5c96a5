"""JSON rows out of text: line by line, or out of one long document, never more than a piece in memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn, TextIO

from tui_ft.data.rows import RawRow, Unreadable
from tui_ft.errors import InputError
from tui_ft.text import count, excerpt

# Characters. Beyond this a row is damage (a missing line break or quote), not an example.
MAX_ROW = 32 << 20
# A list under one of these names is a part of a row, not the list of rows.
_PARTS = frozenset(
    [
        "messages",
        "conversations",
        "conversation",
        "dialog",
        "dialogue",
        "turns",
        "prompt",
        "chosen",
        "rejected",
    ]
    + ["tools", "functions", "tool_calls"]
)
# Possessive: a string of many megabytes without its end is given up at once, not letter by letter.
_TOKENS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\]]', re.DOTALL)
# A byte order mark stands in the middle of files that were put together from several.
_BLANK = " \t\r\n\ufeff"
_SPACE = re.compile(f"[{_BLANK}]*")
_LIST = re.compile(r"\[\s*(\S)")
_OF_OBJECTS = re.compile(r"\s*:\s*\[\s*(\S)")
_VALUE_END = re.compile(r"[,\]}\n]")
_PLAIN = {
    "Expecting property name enclosed in double quotes": "a name in double quotes is missing",
    "Expecting ',' delimiter": "a comma or a closing bracket is missing",
    "Expecting ':' delimiter": "a colon is missing",
    "Expecting value": "a value is missing",
    "Unterminated string starting at": "a closing quote is missing; the string begins",
    "Invalid control character at": "there is a raw line break, tab or control character in a string",
    "Invalid \\escape": "there is a backslash that escapes nothing",
    "Invalid \\uXXXX escape": "there is a broken \\u escape",
    "Extra data": "there is something after the end of the row",
}


class _NotJson(ValueError):
    """A constant that Python accepts and JSON does not."""


def _refuse(name: str) -> NoReturn:
    raise _NotJson(f"{name} is not JSON; write null or leave the field out")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


class _Twice(Exception):
    """An object has a name twice, with different values."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    held = dict(pairs)
    if len(held) < len(pairs):
        for name, value in pairs:
            if held[name] != value:
                raise _Twice(name)
    return held


_WATCHFUL = json.JSONDecoder(parse_constant=_refuse, object_pairs_hook=_once)


def _notes(value: Any, text: str) -> tuple[tuple[str, str], ...]:
    """What the decoder passes over in silence: a name that stands twice in an object.

    Only a text with more names than the value has can hold one, so nearly no row is decoded again.
    """
    written = text.count('":') + text.count('" :')
    try:
        more = written - _names(value)
        # Names in a text that is JSON itself are written \": and are none of the row's.
        if more <= 0 or more <= text.count('\\":') + text.count('\\" :'):
            return ()
        _WATCHFUL.raw_decode(text)
    except _Twice as found:
        name = excerpt(str(found), 40)
        return (("duplicate-keys", f"{name!r} is there twice with different values; the last one counts"),)
    except RecursionError:
        pass  # nested more deeply than any row; whoever uses the value says so
    return ()


def _names(value: Any) -> int:
    """How many names the objects in a value have, all told."""
    if type(value) is dict:
        number = len(value)
        for inner in value.values():
            if type(inner) is dict or type(inner) is list:
                number += _names(inner)
        return number
    return sum([_names(inner) for inner in value if type(inner) is dict or type(inner) is list])


def rows_of_lines(text: TextIO, name: str, before: int = 0) -> Iterator[RawRow | Unreadable]:
    """Rows of a JSON lines file, of which `before` lines were read elsewhere.

    Blank lines are skipped; what is no row is yielded as Unreadable.
    """
    number = before
    while line := text.readline(MAX_ROW):
        number += 1
        if len(line) >= MAX_ROW and not line.endswith("\n"):
            yield Unreadable(name, number, f"the line is longer than {MAX_ROW >> 20} MiB", excerpt(line))
            while (line := text.readline(MAX_ROW)) and not line.endswith("\n"):
                pass
            continue
        bare = line.strip(" \t\r\n")
        if line[0] == "\ufeff":
            bare = bare.lstrip(_BLANK)
        if not bare:
            continue
        try:
            value, end = _DECODER.raw_decode(bare)
            if end < len(bare):
                raise json.JSONDecodeError("Extra data", bare, end)
        except (ValueError, RecursionError) as error:
            yield Unreadable(
                name, number, _words(error, bare, cut=not line.endswith("\n")), _around(error, bare)
            )
            continue
        yield _row(value, name, number, bare)


def rows_of_document(text: TextIO, name: str) -> Iterator[RawRow | Unreadable]:
    """Rows of a .json file: a list of rows, an object with one list of rows, or objects one after another.

    `line` is where a row begins. Raises InputError when there is no list, or more than one.
    """
    window = _Window(text, name)
    if window.peek() == "[":
        window.pos += 1
        yield from _items(window, name, closing="]")
    elif _wraps_rows(window):
        yield from _wrapped(window, name)
    else:
        items = _items(window, name, closing="")
        first = next(items, None)
        if isinstance(first, RawRow) and not window.peek() and _is_table(first.values):
            raise InputError(
                "the file holds columns, not rows",
                where=name,
                fix="Write it by rows; in pandas: to_json(path, orient='records', lines=True).",
            )
        if first is not None:
            yield first
        yield from items


def _is_table(values: Mapping[str, Any]) -> bool:
    """True for a table as pandas writes it by columns: as lists, or as objects with row numbers for names."""
    columns = list(values.values())
    if not columns:
        return False
    if all(type(column) is dict for column in columns):
        names = [list(column) for column in columns]
        return (
            len(names[0]) > 1 and all(held == names[0] for held in names) and all(map(str.isdigit, names[0]))
        )
    if len(columns) < 2 or not all(type(column) is list for column in columns):
        return False
    plain = not any(isinstance(cell, Mapping | list) for column in columns for cell in column)
    return plain and len(columns[0]) > 1 and len({len(column) for column in columns}) == 1


class _Window:
    """A moving piece of a text that knows which line it stands on."""

    def __init__(self, text: TextIO, name: str) -> None:
        self.name = name
        self.text = ""
        self.pos = 0
        self.begin = 0  # where the value that was read last begins in `text`
        self._source = text
        self._lost = False  # the end of a row was not found, so nothing after it can be told apart
        self._counted = 0  # `_line` is the line at this position
        self._line = 1

    @property
    def line(self) -> int:
        """The line of the current position, 1-based."""
        self._line += self.text.count("\n", self._counted, self.pos)
        self._counted = self.pos
        return self._line

    def more(self) -> bool:
        """Drop what was read and add a piece; False at the end.

        Pieces double while a row goes on, so that a long row is not tried again too often.
        """
        _ = self.line
        rest = self.text[self.pos :]
        piece = self._source.read(max(1 << 16, len(rest)))
        self.text, self.pos, self._counted = rest + piece, 0, 0
        return bool(piece)

    def peek(self) -> str:
        """The next character that is not blank, "" at the end."""
        while not self._lost:
            match = _SPACE.match(self.text, self.pos)
            self.pos = match.end() if match else self.pos
            if self.pos < len(self.text):
                return self.text[self.pos]
            if not self.more():
                break
        return ""

    def begins_rows(self) -> bool:
        """True when a list of objects, or an empty list, begins here."""
        while (match := _LIST.match(self.text, self.pos)) is None and self.more():
            pass
        return match is not None and match[1] in "{]"

    def value(self) -> Any:
        """The next JSON value. Raises _Broken with the place when it is damaged; then it has been skipped."""
        while True:
            try:
                value, end = _DECODER.raw_decode(self.text, self.pos)
                if end == len(self.text) and self.more():
                    continue  # a number may go on in the next piece
                self.begin, self.pos = self.pos, end
                return value
            except (ValueError, RecursionError) as error:
                closed = self._closing()
                if closed is None and len(self.text) - self.pos < MAX_ROW and self.more():
                    continue
                bare = self.text[self.pos : closed]
                line = self.line + _offset_lines(error, self.text, self.pos)
                words = _words(error, bare, cut=closed is None)
                around = _around(error, self.text)
                if closed is None:
                    self._lost = True
                    if self.more():
                        words += "; its end was not found, so nothing after it was read"
                else:
                    self.pos = max(closed, self.pos + 1)
                raise _Broken(line, words, around) from None

    def _closing(self) -> int | None:
        """Where the value that begins here ends, by its brackets alone; None when that is not in sight."""
        if self.text[self.pos] not in "{[":
            match = _VALUE_END.search(self.text, self.pos)
            return match.start() if match else None
        depth = 0
        for token in _TOKENS.finditer(self.text, self.pos):
            if token[0] in "{[":
                depth += 1
            elif token[0] in "}]":
                depth -= 1
                if depth == 0:
                    return token.end()
        return None


class _Broken(Exception):
    """A value that is not JSON."""

    def __init__(self, line: int, what: str, excerpt: str) -> None:
        super().__init__(what)
        self.line = line
        self.what = what
        self.excerpt = excerpt


def _items(window: _Window, name: str, *, closing: str) -> Iterator[RawRow | Unreadable]:
    """Values with or without commas between them, up to `closing` or the end of the text."""
    while (char := window.peek()) and char != closing:
        if char in ",]}":
            window.pos += 1
            continue
        line = window.line
        try:
            value = window.value()
        except _Broken as error:
            yield Unreadable(name, error.line, error.what, error.excerpt)
            if not window.peek():
                return
            continue
        yield _row(value, name, line, window.text[window.begin : window.pos])
    if closing and not char:
        yield Unreadable(
            name, window.line, "the file ends before its list is closed; it may have been cut off"
        )
    window.pos += 1


def _wraps_rows(window: _Window) -> bool:
    """True for {"data": [ {…}, … ]}; False for a row laid out over several lines."""
    while len(window.text) < 1 << 16 and window.more():
        pass
    depth = 0
    for token in _TOKENS.finditer(window.text):
        depth += (token[0] in "{[") - (token[0] in "}]")
        if depth == 1 and (of := _OF_OBJECTS.match(window.text, token.end())):
            if token[0][1:-1] in _PARTS:
                return False
            if of[1] == "{":
                return True
    # A document without a list of objects is one row, or rows one after another.
    return False


def _wrapped(window: _Window, name: str) -> Iterator[RawRow | Unreadable]:
    lists: list[str] = []
    window.pos += 1
    while (char := window.peek()) and char != "}":
        if char == ",":
            window.pos += 1
            continue
        try:
            key = window.value()
            if window.peek() == ":":
                window.pos += 1
            if window.peek() != "[" or not window.begins_rows():
                window.value()
                continue
        except _Broken as error:
            yield Unreadable(name, error.line, error.what, error.excerpt)
            return
        lists.append(str(key))
        if len(lists) > 1:
            raise InputError(
                f"the file holds {count(len(lists), 'list')} of rows: {excerpt(', '.join(lists))}",
                where=name,
                fix="Keep one list per file, and name files in [data] path, validation_path and test_path.",
            )
        window.pos += 1
        yield from _items(window, name, closing="]")


def _row(value: Any, name: str, line: int, text: str) -> RawRow | Unreadable:
    if isinstance(value, Mapping):
        return RawRow(name, line, value, _notes(value, text))
    kind = {list: "a list", str: "a string", bool: "true or false", type(None): "null"}.get(
        type(value), "a number"
    )
    what = f"a row has to be an object with named fields, this is {kind}"
    if isinstance(value, str) and value.lstrip().startswith("{"):
        what += " that holds JSON: the row was written as JSON twice"
    return Unreadable(name, line, what, excerpt(text))


def _words(error: Exception, text: str, *, cut: bool) -> str:
    """A decoder's complaint in words for people."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if not isinstance(error, json.JSONDecodeError):
        return str(error) if isinstance(error, _NotJson) else "a number has too many digits"
    if text.startswith("\0"):
        return "there are zero bytes here; the file was cut off or damaged while it was written"
    if text.startswith(("{'", "['")):
        return "this is Python, not JSON: names and strings need double quotes"
    if cut and text.count("{") > text.count("}"):
        return "the file ends in the middle of this row; it may have been cut off"
    before, after = error.doc[max(0, error.pos - 100) : error.pos + 1], error.doc[error.pos : error.pos + 100]
    if after.lstrip(", \t\r\n")[:1] in ("}", "]") and before.rstrip("}] \t\r\n").endswith(","):
        return f"not valid JSON: there is a comma before the closing bracket, at character {error.colno:,}"
    message = next((plain for raw, plain in _PLAIN.items() if error.msg.startswith(raw)), error.msg)
    return f"not valid JSON: {message}, at character {error.colno:,}"


def _around(error: Exception, text: str) -> str:
    at = error.pos if isinstance(error, json.JSONDecodeError) else 0
    return excerpt(text[max(0, at - 30) : at + 60])


def _offset_lines(error: Exception, text: str, start: int) -> int:
    return text.count("\n", start, error.pos) if isinstance(error, json.JSONDecodeError) else 0
