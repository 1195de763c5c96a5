"""A fixed copy of a dataset: `plan_fixes` says what would change, `apply_fixes` writes the copy and its log.

The copy is JSON lines whatever the files are. It is written beside its final name and renamed when whole;
the files themselves are only read.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final
from uuid import UUID

from tui_ft.data.check import OnProgress, Progress
from tui_ft.data.edits import Change
from tui_ft.data.encodings import UTF8
from tui_ft.data.fixer import Drop, Fixed, Fixer, leak_keys
from tui_ft.data.fixes import Counts, FixReport, accepted_fixes
from tui_ft.data.gather import common_of
from tui_ft.data.prints import Prints, equal_copies, near_copies
from tui_ft.data.read import Meter, read_source
from tui_ft.data.sources import Source, open_binary
from tui_ft.data.stream import Input, judge, open_inputs
from tui_ft.errors import InputError
from tui_ft.files import disk_problem, sync_folder
from tui_ft.recipe import Data, resolve
from tui_ft.text import excerpt

if TYPE_CHECKING:
    from tui_ft.models.tokenizer import ChatTokenizer

# Fixes that need to know all rows, and what finds their rows.
_ALIKE: Final = {"copies": equal_copies, "near-duplicates": near_copies}
_BOM = b"\xef\xbb\xbf"
_SUFFIXES = (".jsonl", ".ndjson")
_PROGRESS_EVERY = 512


def plan_fixes(
    data: Data,
    *,
    base: Path,
    yes: Collection[str] = (),
    tokenizer: ChatTokenizer | None = None,
    seq_len: int | None = None,
    progress: OnProgress | None = None,
) -> FixReport:
    """What `apply_fixes` would do, with up to three examples of each fix; writes nothing.

    Raises InputError for ids in `yes` that are no fix, and as `check` does.
    """
    run = _Run(data, base, yes, tokenizer, seq_len, progress)
    for _ in run.rows():
        pass
    return run.report()


def apply_fixes(
    data: Data,
    out: Path,
    *,
    base: Path,
    yes: Collection[str] = (),
    force: bool = False,
    tokenizer: ChatTokenizer | None = None,
    seq_len: int | None = None,
    progress: OnProgress | None = None,
) -> FixReport:
    """Write the main files of a recipe with the safe fixes, and those in `yes`, applied to `out`.

    Beside it, `<out>.log.jsonl` tells of every changed or dropped row: file, line, id, action, reason, field.
    Raises InputError when `out` is one of the files, lies in a data folder, is no .jsonl, exists without
    `force`, or when an encoding was only guessed; EnvironmentProblem when the disk refuses.
    """
    run = _Run(data, base, yes, tokenizer, seq_len, progress)
    log = log_path(out)
    _check_target(out, log, run, force=force)
    run.check_encodings()
    try:
        with _whole(out) as rows, _whole(log) as lines:
            for fixed in run.rows():
                for line in _log_lines(fixed):
                    lines.write(line)
                if fixed.values is not None:
                    rows.write(_json_line(fixed.values, fixed))
    except OSError as error:
        raise disk_problem(error, out) from error
    return run.report(out, log)


def log_path(out: Path) -> Path:
    """Where the log of a fixed copy is."""
    return out.with_name(f"{out.name}.log.jsonl")


class _Run:
    """One pass over the main files with its counts."""

    def __init__(
        self,
        data: Data,
        base: Path,
        yes: Collection[str],
        tokenizer: ChatTokenizer | None,
        seq_len: int | None,
        progress: OnProgress | None,
    ) -> None:
        self.accepted = accepted_fixes(yes, data.ignore)
        inputs = open_inputs(data, base)
        self.sources = next(given.sources for given in inputs if given.part == "main")
        self._mapping = next(given.mapping for given in inputs if given.part == "main")
        paths = [data.path] if isinstance(data.path, str) else data.path
        found = [Path(resolve(path, base)) for path in paths if not path.startswith("hub:")]
        self.folders = tuple(path.resolve() for path in found if path.is_dir())
        self._data, self._inputs = data, inputs
        self._tokenizer, self._seq_len, self._progress = tokenizer, seq_len, progress
        self._counts = Counts()
        for source in self.sources:
            self._count_encoding(source)
        self._seen = self._kept = self._changed = 0

    def check_encodings(self) -> None:
        """Raises InputError for a file whose encoding is a guess that nobody has confirmed."""
        for source in self.sources:
            encoding = source.encoding
            if not encoding.certain and "guessed-encoding" not in self.accepted:
                raise InputError(
                    f"the text is not in UTF-8; {encoding.name} is a guess, by which this line reads: "
                    f"{excerpt(encoding.seen)}",
                    where=f"{source.name}:{encoding.line}",
                    fix="If that is right, say so with --yes guessed-encoding.",
                )

    def rows(self) -> Iterator[Fixed]:
        """Every place of every main file, fixed, in order.

        Which rows are much alike is known after the last one. Where such rows are to be dropped, the files
        are read twice.
        """
        prints = Prints(common_of(self._data, self._inputs))
        if not self.accepted & _ALIKE.keys():
            for number, fixed in enumerate(self._fixed()):
                _take(prints, number, fixed)
                self._count(fixed)
                yield fixed
            for fix, _, place, other in self._alike(prints):
                self._counts.add(fix, *place, "", f"as {other}", None)
            return
        for number, fixed in enumerate(self._fixed()):
            _take(prints, number, fixed)
        drops = {number: (fix, other) for fix, number, _, other in self._alike(prints)}
        for number, fixed in enumerate(self._fixed()):
            done = _dropped(fixed, *drops[number], self.accepted) if number in drops else fixed
            self._count(done)
            yield done

    def _alike(self, prints: Prints) -> Iterator[tuple[str, int, tuple[str, int], str]]:
        """Rows much like an earlier one: the fix, the row's number and place, where the earlier one is."""
        alike = prints.compare()
        for fix, pairs in _ALIKE.items():
            if fix not in self._data.ignore:
                for row, other in pairs(alike):
                    file, line = prints.place(other)
                    yield fix, int(alike.entries[row]), prints.place(row), f"{file}:{line}"

    def _fixed(self) -> Iterator[Fixed]:
        fixer = Fixer(
            self._mapping,
            self.accepted,
            ignored=self._data.ignore,
            held_out=_held_out(self._data, self._inputs),
            tokenizer=self._tokenizer,
            seq_len=self._seq_len,
        )
        meter = Meter(self.sources)
        seen = 0
        for source in self.sources:
            for place in read_source(source, meter):
                seen += 1
                yield fixer.see(place)
                if self._progress and seen % _PROGRESS_EVERY == 0:
                    self._progress(Progress(seen, meter.done_bytes, meter.total_bytes))

    def report(self, out: Path | None = None, log: Path | None = None) -> FixReport:
        """What was found, after the last row."""
        return FixReport(
            self._seen,
            self._kept,
            self._changed,
            self._seen - self._kept,
            self._counts.offers(self.accepted),
            out,
            log,
        )

    def _count(self, fixed: Fixed) -> None:
        self._seen += 1
        self._kept += fixed.values is not None
        self._changed += fixed.values is not None and bool(fixed.done)
        told: set[str] = set()
        for step in (*fixed.done, *fixed.waiting):
            # A row counts once for each fix, however many of its texts it changes.
            if step.fix in told:
                continue
            told.add(step.fix)
            if isinstance(step, Drop):
                self._counts.add(step.fix, fixed.file, fixed.line, "", step.text, None)
            else:
                self._counts.add(step.fix, fixed.file, fixed.line, step.field, step.before, step.after)

    def _count_encoding(self, source: Source) -> None:
        encoding = source.encoding
        if encoding.name != UTF8:
            fix = "other-encoding" if encoding.certain else "guessed-encoding"
            self._counts.add(fix, source.name, encoding.line, "", encoding.name, UTF8)
        elif source.kind not in ("parquet", "arrow") and _has_mark(source):
            self._counts.add("byte-order-mark", source.name, 1, "", "U+FEFF", "")


def _take(prints: Prints, number: int, fixed: Fixed) -> None:
    if fixed.row is not None:
        prints.see(fixed.row, "main", number)


def _dropped(fixed: Fixed, fix: str, other: str, accepted: Collection[str]) -> Fixed:
    """A row that is much like the one at `other`, without it after a yes."""
    drop = Drop(fix, f"as {other}")
    if fix in accepted:
        return replace(fixed, values=None, done=(drop,), row=None)
    return replace(fixed, waiting=(*fixed.waiting, drop))


def _held_out(data: Data, inputs: tuple[Input, ...]) -> frozenset[int]:
    held_out = [given for given in inputs if given.part in ("validation", "test")]
    return frozenset(key for judged in judge(held_out, data) if judged.row for key in leak_keys(judged.row))


def _has_mark(source: Source) -> bool:
    stream, raw = open_binary(source)
    with raw, stream:
        return stream.read(len(_BOM)) == _BOM


def _check_target(out: Path, log: Path, run: _Run, *, force: bool) -> None:
    if not out.name.endswith(_SUFFIXES):
        raise InputError(
            "the fixed copy is written as JSON lines", where=str(out), fix=f"Name it {out.stem}.jsonl."
        )
    for target in (out, log):
        for source in run.sources:
            if target.resolve() == source.path.resolve() or (
                target.exists() and target.samefile(source.path)
            ):
                raise InputError(
                    "the fixed copy would overwrite the data", where=str(target), fix="Choose another name."
                )
        if target.is_dir():
            raise InputError("this is a folder", where=str(target), fix="Name a file.")
        if target.exists() and not force:
            raise InputError(
                "this file exists",
                where=str(target),
                fix="Choose another name, or overwrite it with --force.",
            )
    for folder in run.folders:
        if out.resolve().is_relative_to(folder):
            raise InputError(
                "the fixed copy would lie among the data and be read with them",
                where=str(out),
                fix="Write it to another folder.",
            )


@contextmanager
def _whole(path: Path) -> Iterator[IO[str]]:
    """A text file that gets its name when everything is in it and on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _log_lines(fixed: Fixed) -> Iterator[str]:
    told: set[tuple[str, str]] = set()
    for step in fixed.done:
        field = step.field if isinstance(step, Change) else ""
        if (step.fix, field) in told:
            continue
        told.add((step.fix, field))
        action = "dropped" if isinstance(step, Drop) else "changed"
        line = {"file": fixed.file, "line": fixed.line, "id": fixed.row_id or None, "action": action}
        yield json.dumps({**line, "reason": step.fix, "field": field}, ensure_ascii=False) + "\n"


def _json_line(values: Mapping[str, Any], fixed: Fixed) -> str:
    try:
        text = json.dumps(values, ensure_ascii=False, allow_nan=False, default=_plain)
    except ValueError:
        text = json.dumps(_finite(values), ensure_ascii=False, default=_plain)
    except TypeError as error:
        raise InputError(
            f"a row holds what JSON cannot: {excerpt(str(error), 80)}",
            where=f"{fixed.file}:{fixed.line}",
            fix="Leave this column out of the file.",
        ) from None
    try:
        text.encode()
    except UnicodeEncodeError:
        # Half of a character stays what it is: an escape that the check finds again.
        text = json.dumps(values, default=_plain)
    return text + "\n"


def _plain(value: Any) -> Any:
    """Values of columnar files as JSON writes them."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal | UUID):
        return str(value)
    raise TypeError(f"a value of the kind {type(value).__name__}")


def _finite(value: Any) -> Any:
    """The value with null for numbers that JSON has no word for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value
