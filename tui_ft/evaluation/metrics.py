"""Scoring one answer against its reference. Pure; no model, no torch.

Every score is between 0 and 1, higher is better, and looks at the whole answer as the caller would
get it: JSON inside a code fence or behind a sentence is not valid JSON.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tui_ft.errors import InputError, Problem
from tui_ft.text import excerpt, nearest

Task = Literal["json", "label", "text", "none"]
Scorer = Callable[[str, str], float]

# Shares that decide what kind of answers these are; a stray odd row must not change the metric.
_MOST = 0.9
_LABEL_CHARACTERS = 40
_LABEL_WORDS = 4
_MISSING = object()


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that base and tuned model are compared by."""

    name: str
    title: str  # as it stands in a table
    meaning: str  # one sentence for somebody who has never met it
    higher_is_better: bool = True
    bounded: bool = True  # between 0 and 1


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("exact_match", "exactly right", "Share of answers equal to the expected one."),
        Metric("json_valid", "valid JSON", "Share of answers that a JSON parser accepts as they are."),
        Metric("schema_valid", "fits the schema", "Share of answers that satisfy the JSON Schema."),
        Metric("field_match", "right fields", "Share of the expected JSON fields that are there and right."),
        Metric(
            "token_f1",
            "words in common",
            "Overlap of words with the expected answer. Weak: good answers may use other words.",
        ),
        Metric("stopped", "ends by itself", "Share of answers that end before the length limit."),
        Metric(
            "loss",
            "loss",
            "How surprised the model is by the expected answers, in nats per token. Lower is better.",
            higher_is_better=False,
            bounded=False,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Choice:
    """Which metrics to compute, and why."""

    task: Task
    names: tuple[str, ...]  # in the order of the table
    primary: str  # the one that decides the verdict
    why: str


def choose(references: Sequence[str], wanted: Sequence[str] | Literal["auto"], *, schema: bool) -> Choice:
    """The metrics for these reference answers; `wanted` is the recipe's `[evaluate] metrics`.

    Raises InputError for names that do not exist or need what is not there.
    """
    task = looks_like(references)
    if wanted != "auto":
        return _as_wanted(task, wanted, references, schema=schema)
    extra = ("schema_valid",) if schema else ()
    if task == "json":
        names = ("json_valid", *extra, "exact_match", "field_match", "stopped", "loss")
        return Choice(task, names, "exact_match", "The expected answers are JSON.")
    if task == "label":
        return Choice(
            task,
            (*extra, "exact_match", "stopped", "loss"),
            "exact_match",
            "The expected answers are labels.",
        )
    if task == "text":
        return Choice(
            task,
            (*extra, "token_f1", "stopped", "loss"),
            "loss",
            "The expected answers are open text, which has no single right wording: "
            "loss and words in common are weak signs, so read the samples.",
        )
    return Choice(task, ("loss",), "loss", "There are no answers to compare, only text.")


def _as_wanted(task: Task, wanted: Sequence[str], references: Sequence[str], *, schema: bool) -> Choice:
    problems = []
    for name in dict.fromkeys(wanted):
        if name not in METRICS:
            close = nearest(name, METRICS)
            fix = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(METRICS)}."
            problems.append(Problem(f"there is no metric '{excerpt(name, 40)}'", "evaluate.metrics", fix))
        elif name == "schema_valid" and not schema:
            fix = 'Add schema = "answers.schema.json" under [evaluate].'
            problems.append(Problem("schema_valid needs a schema", "evaluate.metrics", fix))
        elif name != "loss" and not references:
            fix = 'Use metrics = ["loss"].'
            problems.append(
                Problem(f"{name} needs answers, and these rows have none", "evaluate.metrics", fix)
            )
    if problems or not wanted:
        raise InputError(problems or [Problem("names no metric", "evaluate.metrics", 'Use "auto".')])
    names = tuple(dict.fromkeys(wanted))
    return Choice(task, names, names[0], "The recipe names the metrics; the first one decides.")


def looks_like(references: Sequence[str]) -> Task:
    """What kind of answers these are: JSON objects or lists, a few short labels, or open text."""
    if not references:
        return "none"
    most = _MOST * len(references)
    if sum(_container(parsed(text)) for text in references) >= most:
        return "json"
    short = sum(len(t) <= _LABEL_CHARACTERS and len(t.split()) <= _LABEL_WORDS for t in references)
    few = len({_normal(text) for text in references}) <= max(2, len(references) // 2)
    return "label" if short >= most and few else "text"


def scorers(names: Sequence[str], schema: Mapping[str, Any] | None) -> dict[str, Scorer]:
    """A function (answer, reference) -> score for each metric that compares text."""
    every: dict[str, Scorer] = {
        "exact_match": exact_match,
        "json_valid": json_valid,
        "field_match": field_match,
        "token_f1": token_f1,
    }
    if schema is not None:
        every["schema_valid"] = schema_scorer(schema)
    return {name: every[name] for name in names if name in every}


def exact_match(answer: str, reference: str) -> float:
    """1 when equal: as JSON values when both are JSON objects or lists, else as text up to white space."""
    expected = parsed(reference)
    if _container(expected):
        return float(same_json(parsed(answer), expected))
    return float(_normal(answer) == _normal(reference))


def json_valid(answer: str, reference: str = "") -> float:
    """1 when the whole answer is a JSON object or list. NaN and Infinity are not JSON (RFC 8259)."""
    del reference
    return float(_container(parsed(answer)))


def field_match(answer: str, reference: str) -> float:
    """Share of the reference's top-level fields that the answer has with the same value.

    For references that are not JSON objects this is `exact_match`.
    """
    expected, given = parsed(reference), parsed(answer)
    if not isinstance(expected, dict) or not expected:
        return exact_match(answer, reference)
    if not isinstance(given, dict):
        return 0.0
    right = sum(same_json(given.get(key, _MISSING), value) for key, value in expected.items())
    return right / len(expected)


def schema_scorer(schema: Mapping[str, Any]) -> Scorer:
    """A scorer that is 1 when the answer is JSON and satisfies this schema."""
    from jsonschema.validators import validator_for

    validator = validator_for(schema)(schema)

    def schema_valid(answer: str, reference: str = "") -> float:
        del reference
        value = parsed(answer)
        return float(value is not _MISSING and validator.is_valid(value))

    return schema_valid


def read_schema(path: Path) -> dict[str, Any]:
    """A JSON Schema from a file. Raises InputError when it cannot be read or is not a schema."""
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
        validator_for(schema).check_schema(schema)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"the schema cannot be read: {excerpt(str(error), 100)}",
            where=str(path),
            fix="See evaluate.schema.",
        ) from None
    except ValueError as error:
        raise InputError(f"the schema is not JSON: {error}", where=str(path)) from None
    except SchemaError as error:
        raise InputError(f"not a valid JSON Schema: {excerpt(error.message, 100)}", where=str(path)) from None
    if not isinstance(schema, dict):
        raise InputError("a schema is a JSON object", where=str(path))
    return schema


def token_f1(answer: str, reference: str) -> float:
    """Harmonic mean of precision and recall over words, each word as often as it occurs.

    The measure of SQuAD (Rajpurkar et al. 2016), without dropping articles, so that it fits any language.
    """
    given, expected = Counter(_words(answer)), Counter(_words(reference))
    if not given or not expected:
        return float(given == expected)
    shared = (given & expected).total()
    return 2 * shared / (given.total() + expected.total())


def parsed(text: str) -> Any:
    """The JSON value of the whole text, or a marker that equals nothing when it is not JSON."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return _MISSING


def same_json(one: Any, other: Any) -> bool:
    """Equality of JSON values: 1 and 1.0 are equal, 1 and true are not; order of keys does not matter."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    return type(one) is type(other) and bool(one == other) and one is not _MISSING


def _container(value: Any) -> bool:
    return isinstance(value, dict | list)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _normal(text: str) -> str:
    return " ".join(text.split())


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())
