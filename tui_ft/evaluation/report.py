"""What an evaluation found: plain values, as stored in report.json and printed by `tui-ft eval`."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

from tui_ft.errors import InputError
from tui_ft.evaluation.compare import Better, Difference, Verdict, judge, paired_difference, show
from tui_ft.evaluation.metrics import METRICS, Choice, Task, scorers
from tui_ft.files import write_atomically, write_json
from tui_ft.text import duration, excerpt, sanitize

REPORT = "report.json"
ANSWERS = "answers.jsonl"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model made of one row. `loss_sum` is over the reference answer's tokens, in nats."""

    text: str | None  # None when the row has no answer to generate
    tokens: int
    stopped: bool  # ended by itself, not at the length limit
    loss_sum: float | None  # None when no token of the answer is inside the row


@dataclass(frozen=True, slots=True)
class Compared:
    """One unseen row with both answers. `answer_tokens` are those the loss is summed over."""

    row_id: str
    file: str
    line: int
    prompt: str  # the last user message
    reference: str
    answer_tokens: int
    base: Answer
    tuned: Answer


@dataclass(frozen=True, slots=True)
class Sample:
    """A row as it is shown side by side."""

    row_id: str
    prompt: str
    reference: str
    base: str
    tuned: str
    base_scores: Mapping[str, float]
    tuned_scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Setting:
    """How the answers were made; the same for both models."""

    split: Literal["test", "validation"]
    rows_available: int
    max_new_tokens: int
    precision: str
    device: str
    notes: tuple[str, ...] = ()  # what a reader should know before trusting the numbers


@dataclass(frozen=True, slots=True)
class EvalReport:
    """Base against tuned on the same rows. `base` and `tuned` hold a value per metric."""

    rows: int
    task: Task
    primary: str
    why: str  # of the choice of metrics
    base: Mapping[str, float]
    tuned: Mapping[str, float]
    difference: Mapping[str, Difference]
    verdict: Verdict
    sentence: str
    samples: tuple[Sample, ...]
    setting: Setting
    seconds: Mapping[str, float]  # by model

    def to_json(self) -> dict[str, Any]:
        """report.json and `tui-ft eval --json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> EvalReport:
        """The report from its JSON form. Raises KeyError or TypeError when it is of another shape."""
        values = {key: document[key] for key in cls.__dataclass_fields__}
        values["difference"] = {name: Difference(**value) for name, value in document["difference"].items()}
        values["samples"] = tuple(Sample(**sample) for sample in document["samples"])
        setting = dict(document["setting"])
        values["setting"] = Setting(**{**setting, "notes": tuple(setting["notes"])})
        return cls(**values)


def build(
    rows: Sequence[Compared],
    choice: Choice,
    setting: Setting,
    *,
    schema: Mapping[str, Any] | None = None,
    samples: int = 5,
    seconds: Mapping[str, float],
    seed: int = 0,
) -> EvalReport:
    """Score every row for both models and judge the difference. Raises ValueError without rows."""
    by_model = {which: _scores(rows, choice, schema, which) for which in ("base", "tuned")}
    values: dict[str, dict[str, float]] = {"base": {}, "tuned": {}}
    differences: dict[str, Difference] = {}
    for name in choice.names:
        metric = METRICS[name]
        known = [i for i in range(len(rows)) if name in by_model["base"][i] and name in by_model["tuned"][i]]
        if not known:
            continue
        base, tuned = ([by_model[which][i][name] for i in known] for which in ("base", "tuned"))
        weights = [float(rows[i].answer_tokens) for i in known] if name == "loss" else [1.0] * len(known)
        for which, scores in (("base", base), ("tuned", tuned)):
            total = sum(score * weight for score, weight in zip(scores, weights, strict=True))
            values[which][name] = total / sum(weights)
        differences[name] = paired_difference(
            base,
            tuned,
            weights,
            higher_is_better=metric.higher_is_better,
            bounded=metric.bounded,
            seed=seed,
        )
    if choice.primary not in differences:
        raise ValueError(f"no row has a value for {choice.primary}")
    found = Choice(choice.task, tuple(differences), choice.primary, choice.why)
    verdict, sentence = judge(found, values["base"], values["tuned"], differences, len(rows))
    return EvalReport(
        rows=len(rows),
        task=choice.task,
        primary=choice.primary,
        why=choice.why,
        base=values["base"],
        tuned=values["tuned"],
        difference=differences,
        verdict=verdict,
        sentence=sentence,
        samples=_samples(rows, by_model, samples),
        setting=setting,
        seconds=seconds,
    )


def _scores(
    rows: Sequence[Compared],
    choice: Choice,
    schema: Mapping[str, Any] | None,
    which: Literal["base", "tuned"],
) -> list[dict[str, float]]:
    """The scores of each row; a metric that has no value there is left out. Loss is per token."""
    compare = scorers(choice.names, schema)
    scored = []
    for row in rows:
        answer = row.base if which == "base" else row.tuned
        scores: dict[str, float] = {}
        if answer.text is not None:
            scores = {name: score(answer.text, row.reference) for name, score in compare.items()}
            if "stopped" in choice.names:
                scores["stopped"] = float(answer.stopped)
        if "loss" in choice.names and answer.loss_sum is not None and row.answer_tokens:
            scores["loss"] = answer.loss_sum / row.answer_tokens
        scored.append(scores)
    return scored


def _samples(
    rows: Sequence[Compared], scores: Mapping[str, list[dict[str, float]]], wanted: int
) -> tuple[Sample, ...]:
    """Rows evenly spread over the set, so that neither the good nor the bad ones are picked."""
    answered = [i for i, row in enumerate(rows) if row.base.text is not None and row.tuned.text is not None]
    count = min(wanted, len(answered))
    chosen = [answered[k * len(answered) // count] for k in range(count)]
    return tuple(
        Sample(
            rows[i].row_id,
            rows[i].prompt,
            rows[i].reference,
            cast(str, rows[i].base.text),
            cast(str, rows[i].tuned.text),
            scores["base"][i],
            scores["tuned"][i],
        )
        for i in chosen
    )


def save(folder: Path, report: EvalReport, rows: Sequence[Compared]) -> None:
    """Write report.json and answers.jsonl. Raises EnvironmentProblem when the disk refuses."""
    lines = "".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)
    write_atomically(folder / ANSWERS, lines)
    write_json(folder / REPORT, report.to_json())


def load(folder: Path) -> EvalReport | None:
    """The report of a run's evaluation folder; None when it was not evaluated yet.

    Raises InputError when the file is damaged.
    """
    path = folder / REPORT
    try:
        return EvalReport.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"the report cannot be read: {excerpt(str(error), 80)}",
            where=str(path),
            fix="Evaluate the run again.",
        ) from None


_BETTER: Mapping[Better, str] = {
    "tuned": "tuned is better",
    "base": "base is better",
    "unclear": "may be chance",
}


def table(report: EvalReport, *, samples: bool = False) -> str:
    """The report as text of at most 80 columns, safe to print."""
    how = report.setting
    spent = " and ".join(f"{duration(seconds)} ({which})" for which, seconds in report.seconds.items())
    prose = [
        report.sentence,
        f"* decides. {report.why}",
        f"{report.rows} of {how.rows_available} {how.split} rows, greedy answers of up to "
        f"{how.max_new_tokens} tokens, {how.precision} on {sanitize(how.device)}; {spent}.",
        *(f"Note: {note}" for note in how.notes),
    ]
    lines = [f"{'':<18}{'base':>7}{'tuned':>7}{'difference, 95 % interval':>28}", *_rows(report), ""]
    for paragraph in prose:
        lines += textwrap.wrap(paragraph, 80)
    for sample in report.samples if samples else ():
        parts = {
            "row": sample.row_id,
            "question": sample.prompt,
            "expected": sample.reference,
            "base": sample.base,
            "tuned": sample.tuned,
        }
        lines += ["", *(f"{title:<10}{excerpt(text, 70)}" for title, text in parts.items())]
    return "\n".join(lines)


def _rows(report: EvalReport) -> Iterator[str]:
    for name, difference in report.difference.items():
        title = METRICS[name].title + (" *" if name == report.primary else "")
        yield (
            f"{title:<18}{show(name, report.base[name]):>7}{show(name, report.tuned[name]):>7}"
            f"{_interval(name, difference):>28}  {_BETTER[difference.better]}"
        )


def _interval(name: str, difference: Difference) -> str:
    if METRICS[name].bounded:
        value, low, high = (100 * part for part in (difference.value, difference.low, difference.high))
        return f"{value:+.0f} ({low:+.0f} to {high:+.0f}) points"
    return f"{difference.value:+.2f} ({difference.low:+.2f} to {difference.high:+.2f})"
