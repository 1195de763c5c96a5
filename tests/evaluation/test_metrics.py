"""Scores of single answers, and which metrics are chosen."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_ft.errors import InputError
from tui_ft.evaluation.metrics import (
    METRICS,
    choose,
    exact_match,
    field_match,
    json_valid,
    looks_like,
    read_schema,
    schema_scorer,
    scorers,
    token_f1,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
CONTAINER = st.lists(JSON, max_size=4) | st.dictionaries(st.text(), JSON, max_size=4)
SCHEMA = {
    "type": "object",
    "properties": {"priority": {"enum": ["low", "high"]}},
    "required": ["priority"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("answer", "reference", "score"),
    [
        ("billing", " billing\n", 1.0),
        ("two  words", "two words", 1.0),
        ("Billing", "billing", 0.0),
        ('{"a": 1, "b": [2]}', '{ "b" : [2], "a" : 1.0 }', 1.0),
        ('{"a": true}', '{"a": 1}', 0.0),
        ('{"a": 1}', '{"a": 1, "b": 2}', 0.0),
        ('{"a": 1} and more', '{"a": 1}', 0.0),
        ("", '{"a": 1}', 0.0),
    ],
)
def test_exact_match(answer: str, reference: str, score: float) -> None:
    assert exact_match(answer, reference) == score


@given(CONTAINER)
def test_json_matches_itself_however_it_is_written(value: Any) -> None:
    written = json.dumps(value)
    other = json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)
    assert exact_match(other, written) == 1.0
    assert json_valid(other) == 1.0
    assert field_match(other, written) == 1.0


@given(st.text(), st.text())
def test_scores_are_shares_whatever_the_model_says(answer: str, reference: str) -> None:
    for score in scorers(list(METRICS), SCHEMA).values():
        value = score(answer, reference)
        assert 0.0 <= value <= 1.0
        assert math.isfinite(value)


@pytest.mark.parametrize(
    "answer", ['```json\n{"a": 1}\n```', 'Sure! {"a": 1}', "NaN", '{"a": NaN}', '"text"', "12", "", "[1,]"]
)
def test_only_a_bare_object_or_list_is_valid_json(answer: str) -> None:
    assert json_valid(answer) == 0.0


def test_right_fields_are_counted() -> None:
    reference = '{"category": "billing", "priority": "low"}'
    assert field_match('{"priority": "low", "category": "other", "more": 1}', reference) == 0.5
    assert field_match("low", reference) == 0.0
    assert field_match("[1]", "[1]") == 1.0


def test_schema() -> None:
    score = schema_scorer(SCHEMA)
    assert [score(text, "") for text in ('{"priority": "low"}', '{"priority": "soon"}', "low", "{}")] == [
        1,
        0,
        0,
        0,
    ]


def test_words_in_common() -> None:
    assert token_f1("The cat sat.", "the CAT sat") == 1.0
    assert token_f1("cat cat", "cat") == pytest.approx(2 / 3)
    assert token_f1("", "cat") == 0.0
    assert token_f1("", "") == 1.0


def test_kinds_of_answers() -> None:
    assert looks_like(['{"a": 1}'] * 19 + ["oops"]) == "json"
    assert looks_like(["billing", "technical", "billing", "account"] * 5) == "label"
    assert looks_like([f"Answer number {i} to a question" for i in range(20)]) == "text"
    assert looks_like([f"name{i}" for i in range(20)]) == "text"
    assert looks_like([]) == "none"


def test_auto_choice_names_what_decides() -> None:
    references = ['{"a": 1}'] * 10
    assert choose(references, "auto", schema=False).primary == "exact_match"
    assert "schema_valid" not in choose(references, "auto", schema=False).names
    assert "schema_valid" in choose(references, "auto", schema=True).names
    text = choose([f"Long answer {i} with some words" for i in range(10)], "auto", schema=False)
    assert text.primary == "loss"
    assert "weak" in text.why
    assert choose([], "auto", schema=False).names == ("loss",)


def test_wanted_metrics_are_checked_all_at_once() -> None:
    with pytest.raises(InputError) as caught:
        choose(["a b c d e f"], ["exact_mach", "schema_valid"], schema=False)
    assert [problem.what for problem in caught.value.problems] == [
        "there is no metric 'exact_mach'",
        "schema_valid needs a schema",
    ]
    assert caught.value.fix == "Did you mean exact_match?"
    assert choose(["a"], ["loss", "exact_match"], schema=False).primary == "loss"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "the schema is not JSON"),
        ('{"type": "objekt"}', "not a valid JSON Schema"),
        ("[]", "not a valid JSON Schema"),
        ("true", "JSON object"),
    ],
)
def test_bad_schema_files(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "schema.json"
    path.write_text(text)
    with pytest.raises(InputError, match=what) as caught:
        read_schema(path)
    assert str(path) in str(caught.value)


def test_missing_schema_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_schema(tmp_path / "none.json")
