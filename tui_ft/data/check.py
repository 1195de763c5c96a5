"""The report on a dataset: what the rows are, what is wrong with them, what would be trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_ft.data.catalog import check_ignored
from tui_ft.data.read import Meter
from tui_ft.data.rows import DatasetReport
from tui_ft.data.stream import judge, open_inputs
from tui_ft.data.survey import Survey
from tui_ft.errors import ExitCode
from tui_ft.recipe import Data

if TYPE_CHECKING:
    from tui_ft.models.tokenizer import ChatTokenizer

_PROGRESS_EVERY = 512


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
) -> DatasetReport:
    """Read all data of a recipe in the folder `base` once and report on it.

    `tokenizer` adds lengths, the template and the masks; `seq_len` what a limit of that many tokens cuts.
    Raises InputError when a path or a file cannot be read at all, EnvironmentProblem without a hub.
    """
    check_ignored(data.ignore)
    inputs = open_inputs(data, base)
    survey = Survey(data, inputs, tokenizer, seq_len)
    meter = Meter(source for given in inputs for source in given.sources)
    for judged in judge(inputs, data, tokenizer, meter=meter):
        survey.see(judged)
        if progress and survey.rows % _PROGRESS_EVERY == 0:
            progress(Progress(survey.rows, meter.done_bytes, meter.total_bytes))
    if progress:
        progress(Progress(survey.rows, meter.total_bytes, meter.total_bytes))
    return survey.report()


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
        "columns_seen": list(report.columns),
        "paths": list(report.paths),
        "blocked": report.blocked,
        "answers": {
            "look_like": report.answers_look_like,
            "median_characters": report.median_answer_characters,
        },
        "sizes": asdict(report.sizes),
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
