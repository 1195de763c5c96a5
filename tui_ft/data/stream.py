"""All rows of a recipe's data in one pass: read, put into one form, encoded, faults included."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tui_ft.data.checks import marks_of, written_as_json
from tui_ft.data.convert import to_row
from tui_ft.data.groups import ORIGIN, check_split_keys, marks_of_traits, traits_of
from tui_ft.data.masks import Encoded, LossOn, encode_rows
from tui_ft.data.observers import Measure
from tui_ft.data.read import Meter, read_source
from tui_ft.data.rows import ColumnMapping, RawRow, Row, Unreadable, Unusable
from tui_ft.data.shapes import PARTS, choose, columns_of
from tui_ft.data.sources import Source, locate
from tui_ft.data.split import Traits
from tui_ft.errors import InputError, Problem
from tui_ft.recipe import Data

if TYPE_CHECKING:
    from tui_ft.models.tokenizer import ChatTokenizer

Part = Literal["validation", "test", "main", "mix"]

_BATCH = 512
# How many rows decide the shape: the first ones, then some of those that follow, in each of a few files.
_FIRST = 200
_REACH = 10_000
_STRIDE = 50
_FILES = 16


@dataclass(frozen=True, slots=True)
class Input:
    """The files that play one part in training, and how their rows are read."""

    part: Part
    sources: tuple[Source, ...]
    mapping: ColumnMapping
    columns: tuple[str, ...]  # all that were seen
    unused: tuple[str, ...] = ()  # those of rows that fit the mapping, which it leaves aside
    looked_at: tuple[RawRow, ...] = ()  # the rows that decided the shape


@dataclass(frozen=True, slots=True)
class Judged:
    """One place in a file: a row in canonical form, or the fault that leaves it out.

    A row that only the model's template refuses has both. `encoded` is there when a tokenizer is.
    `as_json` tells which part was no text and became JSON; `marks` are the findings of the row's own
    checks, as (finding id, excerpt); `traits` is there when more than its content decides the row's side.
    """

    part: Part
    row: Row | None = None
    fault: Unreadable | Unusable | None = None
    encoded: Encoded | None = None
    as_json: str | None = None
    marks: tuple[tuple[str, str], ...] = ()
    traits: Traits | None = None
    measure: Measure | None = None


def open_inputs(data: Data, base: Path) -> tuple[Input, ...]:
    """The inputs of a recipe, held-out files first, so that leakage shows when training rows come by.

    Raises InputError with every problem of every path, EnvironmentProblem when a hub cannot be reached.
    """
    main = [data.path] if isinstance(data.path, str) else list(data.path)
    wanted: list[tuple[Part, list[str], str]] = [
        ("validation", [data.validation_path], "data.validation_path"),
        ("test", [data.test_path], "data.test_path"),
        ("main", main, "data.path"),
        *(("mix", [path], "data.mix") for path in data.mix),
    ]
    inputs: list[Input] = []
    problems: list[Problem] = []
    for part, paths, key in wanted:
        if not any(paths):
            if part == "main":
                problems.append(
                    Problem("no data file is named", key, "Name a file, a folder or hub:owner/name.")
                )
            continue
        try:
            sources = locate(paths, base)
            rows = sample(sources)
            shape, columns = (data.format, data.columns) if part != "mix" else ("auto", {})
            deciding = {data.stratify, data.group_by, data.split_by_time}
            inputs.append(_input(part, sources, rows, choose(rows, shape, columns), deciding))
        except InputError as error:
            problems.extend(error.problems)
    if problems:
        raise InputError(problems)
    check_split_keys(data, next(given.columns for given in inputs if given.part == "main"))
    return tuple(inputs)


def _input(
    part: Part,
    sources: tuple[Source, ...],
    rows: Sequence[RawRow],
    mapping: ColumnMapping,
    deciding: set[str],
) -> Input:
    """`deciding` are columns that only decide which rows are held out."""
    needed = {mapping.columns[name] for name in PARTS[mapping.shape].required}
    used = {*mapping.columns.values(), *deciding, ORIGIN}
    fitting = columns_of(row for row in rows if needed <= row.values.keys())
    unused = tuple(column for column in fitting if column not in used and mapping.shape != "unknown")
    return Input(part, sources, mapping, columns_of(rows), unused, tuple(rows))


def sample(sources: Sequence[Source]) -> list[RawRow]:
    """Rows to tell the shape by: the first 200 and every 50th of the next 10,000, of up to 16 files."""
    step = max(1, -(-len(sources) // _FILES))
    rows: list[RawRow] = []
    for source in sources[::step]:
        for number, raw in enumerate(islice(read_source(source), _REACH)):
            if isinstance(raw, RawRow) and (number < _FIRST or number % _STRIDE == 0):
                rows.append(raw)
    return rows


def judge(
    inputs: Sequence[Input],
    data: Data,
    tokenizer: ChatTokenizer | None = None,
    *,
    loss_on: LossOn = "answers",
    meter: Meter | None = None,
) -> Iterator[Judged]:
    """Every place of every file, in order, in flat memory. Raises InputError for a file that is damaged."""
    for given in inputs:
        raws = (raw for source in given.sources for raw in read_source(source, meter))
        judged = judge_raw(raws, given, data, loss_on)
        if tokenizer is None:
            yield from judged
            continue
        while batch := list(islice(judged, _BATCH)):
            yield from encoded(batch, tokenizer, loss_on)


def judge_raw(
    raws: Iterable[RawRow | Unreadable], given: Input, data: Data, loss_on: LossOn = "answers"
) -> Iterator[Judged]:
    """Rows of one input as they were read, put into one form and checked one by one.

    Answers marked as bad are left out unless they are learned from as such.
    """
    part, mapping = given.part, given.mapping
    system = "" if part == "mix" else data.system
    for raw in raws:
        if isinstance(raw, Unreadable):
            yield Judged(part, fault=raw)
            continue
        row = to_row(raw, mapping, system)
        if isinstance(row, Unusable):
            yield Judged(part, fault=row, marks=raw.notes)
        elif row.label is False and loss_on != "verdicts":
            fault = Unusable("bad-answers", row.file, row.line, "is marked as a bad answer")
            yield Judged(part, fault=fault)
        else:
            traits = traits_of(raw, row, data) if part == "main" else None
            marks = raw.notes + marks_of(row) + marks_of_traits(raw, data, traits)
            yield Judged(part, row, as_json=written_as_json(raw, mapping), marks=marks, traits=traits)


def encoded(batch: Sequence[Judged], tokenizer: ChatTokenizer, loss_on: LossOn) -> Iterator[Judged]:
    """The same with the rows encoded that are not measured yet, or the fault that prevents it."""
    rows = [judged.row for judged in batch if judged.row and not judged.measure]
    encodings = encode_rows(rows, tokenizer, loss_on=loss_on)
    for judged in batch:
        if judged.row is None or judged.measure:
            yield judged
            continue
        found = next(encodings)
        if isinstance(found, Unusable):
            yield replace(judged, fault=found)
        else:
            yield replace(judged, encoded=found)
