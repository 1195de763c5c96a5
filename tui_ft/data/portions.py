"""A dataset cut into portions that can be looked at apart: stretches of a file, or rows read in batches.

Where it is cut depends on the files only, so the report is the same however many processes share the work.
"""

from __future__ import annotations

import io
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from tui_ft.data.encodings import UTF8
from tui_ft.data.gather import PROVEN_FIRST, Gathered, Scope
from tui_ft.data.json_text import rows_of_lines
from tui_ft.data.lengths import Ruler, all_exact
from tui_ft.data.read import Meter, read_source
from tui_ft.data.rows import RawRow, Unreadable
from tui_ft.data.sources import Source
from tui_ft.data.stream import Input, Judged, encoded, judge_raw

SPAN_BYTES = 8 << 20
BATCH = 512
# One measure in so many is compared with the exact one.
_COMPARED_EVERY = 251

Raw = RawRow | Unreadable


@dataclass(frozen=True, slots=True)
class Portion:
    """Rows of one input: either those read already, or the bytes of a file from `begin` to `end`, which
    stand after `lines` lines. `number` counts the portions of a dataset."""

    number: int
    given: int
    raws: tuple[Raw, ...] = ()
    source: int = 0
    begin: int = 0
    end: int = 0
    lines: int = 0
    done_bytes: int = 0  # of all files, at the end of this portion


def portions(inputs: Sequence[Input], meter: Meter) -> Generator[Portion, None, None]:
    """All rows of the inputs in order. Raises InputError for a file that is damaged."""
    number = 0
    for at, given in enumerate(inputs):
        for index, source in enumerate(given.sources):
            if _is_plain(source):
                for begin, end, lines in _spans(source, meter):
                    done = meter.done_bytes
                    yield Portion(number, at, (), index, begin, end, lines, done)
                    number += 1
                continue
            raws = read_source(source, meter)
            while batch := tuple(islice(raws, BATCH)):
                yield Portion(number, at, raws=batch, done_bytes=meter.done_bytes)
                number += 1


@dataclass(slots=True)
class Mapper:
    """Looks at portions; it can be sent to another process. `ruler` measures rows without encoding them."""

    scope: Scope
    inputs: Sequence[Input]
    ruler: Ruler | None = None

    def map(self, portion: Portion) -> Gathered:
        """What is to be kept of a portion. Raises InputError for a file that cannot be read."""
        scope, given = self.scope, self.inputs[portion.given]
        raws: Iterator[Raw] = iter(portion.raws)
        if portion.end:
            raws = _read_span(given.sources[portion.source], portion)
        gathered, control = Gathered(scope), scope.control
        # With loss on all tokens there is no mask to prove.
        provable = (PROVEN_FIRST if portion.number == 0 else 1) if scope.loss_on != "all" else 0
        judged = judge_raw(raws, given, scope.data, scope.loss_on)
        while batch := list(islice(judged, BATCH)):
            exact = max(0, provable - gathered.rows)
            for one in self._with_tokens(batch, exact, gathered):
                gathered.see(one, scope, control, proven=gathered.rows < provable)
        return gathered

    def _with_tokens(self, batch: list[Judged], exact: int, gathered: Gathered) -> list[Judged]:
        """The rows measured, or encoded: the first `exact` ones, and those that cannot be measured."""
        tokenizer, loss_on = self.scope.tokenizer, self.scope.loss_on
        if tokenizer is None:
            return batch
        if self.ruler is not None:
            batch[exact:] = self.ruler.measure(batch[exact:])
            tried = [judged for judged in batch[::_COMPARED_EVERY] if judged.measure is not None]
            if not all_exact(tried, tokenizer, loss_on, self.ruler.limit):
                gathered.doubtful = True
        return list(encoded(batch, tokenizer, loss_on))


def _is_plain(source: Source) -> bool:
    """Whether a file can be cut at any line break."""
    return source.kind == "jsonl" and not source.compression and source.encoding.name == UTF8


def _spans(source: Source, meter: Meter) -> Iterator[tuple[int, int, int]]:
    """Where to cut a file of lines: the first byte, one past the last, and the number of lines before."""
    with source.path.open("rb") as file:
        meter.begin(file)
        begin = lines = 0
        while block := file.read(SPAN_BYTES):
            more = _line_ends(block)
            # A line may be long: it is passed piece by piece.
            while not block.endswith(b"\n") and (block := file.readline(SPAN_BYTES)):
                more += _line_ends(block)
            yield begin, file.tell(), lines
            begin, lines = file.tell(), lines + more
    meter.end(source)


def _line_ends(block: bytes) -> int:
    """Line ends of all kinds, as Python's text files count them."""
    ends = block.count(b"\n")
    return ends + block.count(b"\r") - block.count(b"\r\n") if b"\r" in block else ends


def _read_span(source: Source, portion: Portion) -> Iterator[Raw]:
    with source.path.open("rb") as file:
        file.seek(portion.begin)
        stretch = io.BufferedReader(_Stretch(file, portion.end - portion.begin), 1 << 18)
        # Only the beginning of a file can have a byte order mark.
        codec = "utf-8" if portion.begin else source.encoding.codec
        text = io.TextIOWrapper(stretch, encoding=codec, errors=source.encoding.errors, newline="")
        yield from rows_of_lines(text, source.name, portion.lines)


class _Stretch(io.RawIOBase):
    """The next bytes of a file, and no more."""

    def __init__(self, file: io.BufferedReader, size: int) -> None:
        self._file = file
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # io only ever passes a memoryview
        size = self._file.readinto(buffer[: self._left])
        self._left -= size
        return size
