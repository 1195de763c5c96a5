"""The report on a dataset: what the rows are, what is wrong with them, what would be trained on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_ft.data.catalog import check_ignored
from tui_ft.data.crew import CheckCancelled, Crew
from tui_ft.data.lengths import trusted_ruler
from tui_ft.data.masks import LossOn
from tui_ft.data.portions import Mapper, portions
from tui_ft.data.read import Meter
from tui_ft.data.rows import DatasetReport
from tui_ft.data.stream import Input, judge, open_inputs
from tui_ft.data.survey import Survey
from tui_ft.errors import ExitCode
from tui_ft.recipe import Data

if TYPE_CHECKING:
    from tui_ft.models.tokenizer import ChatTokenizer

_PROGRESS_EVERY = 512
# Below this other processes take longer to start than they save.
_LARGE_BYTES = 20_000_000
_MOST_WORKERS = 8


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a check or a preparation is. Bytes are those of the files on disk."""

    rows: int
    done_bytes: int
    total_bytes: int


OnProgress = Callable[[Progress], None]


def check(
    data: Data,
    *,
    base: Path,
    tokenizer: ChatTokenizer | None = None,
    seq_len: int | None = None,
    progress: OnProgress | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    workers: int | None = None,
    loss_on: LossOn = "answers",
) -> DatasetReport:
    """Read all data of a recipe in the folder `base` once and report on it.

    `tokenizer` adds lengths, the template and the masks; `seq_len` what a limit of that many tokens cuts;
    `loss_on` is what will be learned of a row, see `masks.loss_of`.
    Files beyond 20 MB are shared among `workers` processes, by default one per core, 8 at most; 0 keeps to
    this process. The report is the same. Raises InputError when a path or a file cannot be read at all,
    EnvironmentProblem without a hub or when a process dies, CheckCancelled when `cancelled` says so.
    """
    check_ignored(data.ignore)
    inputs = open_inputs(data, base)
    total = sum(source.size_bytes for given in inputs for source in given.sources)
    survey = Survey(data, inputs, tokenizer, seq_len, loss_on=loss_on)
    if total < _LARGE_BYTES:
        _see_all(survey, inputs, data, tokenizer, progress, cancelled)
        return survey.report()
    number = min(_MOST_WORKERS, len(os.sched_getaffinity(0))) if workers is None else workers
    ruler = trusted_ruler(survey.scope, inputs)
    _take_all(survey, Mapper(survey.scope, inputs, ruler), number, progress, cancelled)
    if survey.doubtful:
        # Some row was not as long as it was measured: all are encoded.
        survey = Survey(data, inputs, tokenizer, seq_len, loss_on=loss_on)
        _take_all(survey, Mapper(survey.scope, inputs), number, progress, cancelled)
    return survey.report()


def _see_all(
    survey: Survey,
    inputs: Sequence[Input],
    data: Data,
    tokenizer: ChatTokenizer | None,
    progress: OnProgress | None,
    cancelled: Callable[[], bool],
) -> None:
    """Row by row in this process."""
    meter = Meter(source for given in inputs for source in given.sources)
    for judged in judge(inputs, data, tokenizer, loss_on=survey.scope.loss_on, meter=meter):
        survey.see(judged)
        if survey.rows % _PROGRESS_EVERY == 0:
            if cancelled():
                raise CheckCancelled
            if progress:
                progress(Progress(survey.rows, meter.done_bytes, meter.total_bytes))
    if progress:
        progress(Progress(survey.rows, meter.total_bytes, meter.total_bytes))


def _take_all(
    survey: Survey,
    mapper: Mapper,
    workers: int,
    progress: OnProgress | None,
    cancelled: Callable[[], bool],
) -> None:
    """Portion by portion, in other processes if there are to be any."""
    meter = Meter(source for given in mapper.inputs for source in given.sources)
    done = 0
    with contextlib.ExitStack() as stack:
        cut = stack.enter_context(contextlib.closing(portions(mapper.inputs, meter)))
        if workers:
            mapped = stack.enter_context(Crew(mapper, workers, cancelled)).map(cut)
        else:
            mapped = ((portion, mapper.map(portion)) for portion in cut)
        for portion, gathered in mapped:
            if cancelled():
                raise CheckCancelled
            survey.take(gathered)
            # Bytes that were read are not looked at yet; those of a stretch are.
            done = max(done, portion.done_bytes)
            if progress:
                progress(Progress(survey.rows, min(done, meter.total_bytes), meter.total_bytes))
    if progress:
        progress(Progress(survey.rows, meter.total_bytes, meter.total_bytes))


def exit_code(report: DatasetReport) -> ExitCode:
    """What `tui-ft check` ends with: 0 clean, 1 findings that block. A file nobody can read raises (2)."""
    return ExitCode.ANSWER_IS_NO if report.blocked else ExitCode.DONE


def to_json(report: DatasetReport) -> dict[str, Any]:
    """What `tui-ft check --json` prints. Token counts are null without a tokenizer."""
    lengths = report.lengths
    return {
        "rows": report.rows,
        "usable_rows": report.usable_rows,
        "shape": report.mapping.shape,
        "columns": dict(report.mapping.columns),
        "confident": report.mapping.confident,
        "preview": dict(report.mapping.preview),
        "columns_seen": list(report.columns),
        "paths": list(report.paths),
        "blocked": report.blocked,
        "answers": {
            "look_like": report.answers_look_like,
            "median_characters": report.median_answer_characters,
            "labels": dict(report.answer_labels),
        },
        "sizes": asdict(report.sizes),
        "schema": report.schema,
        "labels": {label: dict(sides) for label, sides in report.labels.items()},
        "tokens": None
        if lengths is None
        else {
            "total": lengths.total_tokens,
            "learned": lengths.answer_tokens,
            "median": lengths.percentile(0.5),
            "p95": lengths.percentile(0.95),
            "p99": lengths.percentile(0.99),
            "longest": max(lengths.lengths, default=0),
        },
        "findings": [
            {**asdict(finding), "examples": [asdict(example) for example in finding.examples]}
            for finding in report.findings
        ],
    }
