"""The event log of a run: one strict JSON object per line, appended by the worker, read by anyone.

A reader keeps its place and asks again. It never sees half a line, survives a torn last line, a
truncated file and lines that are not JSON, and counts those.
"""

from __future__ import annotations

import json
import math
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Self

from tui_ft.files import disk_problem
from tui_ft.redact import redact

Event = dict[str, Any]

_CHUNK = 1 << 20
_NOT_SAMPLED = 1 << 18  # bytes at the end of a long log that are read in full
_RARE = re.compile(rb'"kind":"(?!step"|gauges")')
_ONLY_NUMBERS = ("step", "gauges")  # the frequent kinds, in which no secret can be
_HEAD = 64  # the kind of an event stands within its first bytes
_TIME = b'{"t":'


class EventLog:
    """Appends events. One `write` per line, so that lines of several threads do not mix."""

    def __init__(self, path: Path) -> None:
        """Open for appending. Raises EnvironmentProblem when the disk or folder refuses."""
        self._path = path
        self._guard = threading.Lock()
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            end = os.fstat(self._handle).st_size
            # A killed writer may have left half a line; the next event must not be glued to it.
            if end and os.pread(self._handle, 1, end - 1) != b"\n":
                os.write(self._handle, b"\n")
        except OSError as error:
            raise disk_problem(error, path) from error

    def append(self, kind: str, **values: Any) -> None:
        """Add an event of this kind, stamped with the time. NaN and infinity become null.

        Their keys are named under `nonfinite`. Raises EnvironmentProblem when the disk is full.
        """
        broken = {key: str(value) for key, value in values.items() if _is_nonfinite(value)}
        event: Event = {"t": round(time.time(), 3), "kind": kind, **values}
        if broken:
            event |= dict.fromkeys(broken) | {"nonfinite": broken}
        try:
            text = json.dumps(event, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=str)
        except ValueError:
            text = json.dumps(_finite(event), ensure_ascii=False, separators=(",", ":"), default=str)
        if kind not in _ONLY_NUMBERS:
            text = redact(text)
        line = text.encode("utf-8", "replace") + b"\n"
        with self._guard:
            try:
                while line:
                    line = line[os.write(self._handle, line) :]
            except OSError as error:
                raise disk_problem(error, self._path) from error

    def sync(self) -> None:
        """Wait until everything appended is on the disk."""
        os.fsync(self._handle)

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class EventReader:
    """Reads what is new since the last call. `garbage` counts lines that are not events."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.garbage = 0
        self.restarts = 0  # times the file was replaced or cut, and reading began anew
        self._offset = 0
        self._inode: int | None = None

    def read(self) -> Iterator[Event]:
        """New complete events, oldest first. Nothing when there is no file."""
        for line in self.lines():
            event = self.parse(line)
            if event is not None:
                yield event

    def lines(self) -> Iterator[bytes]:
        """New complete lines, undecoded. A last line without its end waits for the next call."""
        try:
            file = self.path.open("rb")
        except OSError:
            return
        with file:
            self._go_on(file)
            rest = b""
            while chunk := file.read(_CHUNK):
                whole, newline, tail = (rest + chunk).rpartition(b"\n")
                rest = tail
                if newline:
                    self._offset += len(whole) + 1
                    yield from whole.split(b"\n")

    def sample(self, every: int) -> Iterator[bytes]:
        """New lines of a long log: one in `every` bytes, and every one that is no step and no gauges.

        The end of the log is left for `lines`, so that what counts now is whole.
        """
        try:
            file = self.path.open("rb")
        except OSError:
            return
        with file:
            end = self._go_on(file) - _NOT_SAMPLED
            while len(chunk := file.read(max(0, min(_CHUNK, end - self._offset)))) > 1:
                whole = chunk.rfind(b"\n") + 1
                if not whole:
                    return
                self._offset += whole
                file.seek(self._offset)
                starts = {chunk.find(b"\n", at) + 1 for at in range(0, whole - 1, every)}
                starts.update(
                    chunk.rfind(b"\n", 0, found.start()) + 1 for found in _RARE.finditer(chunk, 0, whole)
                )
                for start in sorted(starts):
                    if start < whole:
                        yield chunk[start : chunk.find(b"\n", start)]

    def _go_on(self, file: BinaryIO) -> int:
        """Go to where reading ended, which is the start when the file is another one; returns its size."""
        found = os.fstat(file.fileno())
        if self._inode is not None and (found.st_ino != self._inode or found.st_size < self._offset):
            self._offset = 0
            self.restarts += 1
        self._inode = found.st_ino
        file.seek(self._offset)
        return found.st_size

    @property
    def unread_bytes(self) -> int:
        """How much of the file was not read yet."""
        try:
            return max(0, self.path.stat().st_size - self._offset)
        except OSError:
            return 0

    def parse(self, line: bytes) -> Event | None:
        """The event on this line; None, counted as garbage, when it is none."""
        if not line:
            return None
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            self.garbage += 1
            return None
        if not isinstance(event, dict) or not isinstance(event.get("kind"), str):
            self.garbage += 1
            return None
        return event


def is_kind(line: bytes, kind: bytes) -> bool:
    """Whether an undecoded line is an event of this kind; a hundred times cheaper than parsing it."""
    return line.find(b'"kind":"' + kind + b'"', 0, _HEAD) > 0


def moment(line: bytes) -> float | None:
    """When an undecoded event happened, in seconds since 1970; None when it does not begin with that."""
    if not line.startswith(_TIME):
        return None
    try:
        return float(line[len(_TIME) : line.find(b",", len(_TIME), _HEAD)])
    except ValueError:
        return None


def _is_nonfinite(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _finite(value: Any) -> Any:
    """The value with every NaN and infinity, however deep, replaced by None."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if _is_nonfinite(value) else value
