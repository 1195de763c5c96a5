"""Telling the shape of rows and the part of each column; nothing is guessed with confidence."""

from __future__ import annotations

from typing import Any

import pytest

from tui_ft.data.rows import RawRow
from tui_ft.data.shapes import UNKNOWN, choose, detect
from tui_ft.errors import InputError

TURNS = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
SHAREGPT = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]


def raw(*values: dict[str, Any]) -> list[RawRow]:
    return [RawRow("x.jsonl", line, row) for line, row in enumerate(values, 1)]


@pytest.mark.parametrize(
    ("row", "shape", "columns", "confident"),
    [
        ({"messages": TURNS}, "messages", {"messages": "messages"}, True),
        (
            {"messages": TURNS, "tools": "[]", "id": 1},
            "messages",
            {"messages": "messages", "tools": "tools"},
            True,
        ),
        ({"messages": '[{"role": "user", "content": "Hi"}]'}, "messages", {"messages": "messages"}, True),
        ({"chat": TURNS}, "messages", {"messages": "chat"}, False),
        ({"conversations": SHAREGPT}, "sharegpt", {"conversations": "conversations"}, True),
        ({"conversations": TURNS}, "messages", {"messages": "conversations"}, True),
        (
            {"conversations": SHAREGPT, "system": "s"},
            "sharegpt",
            {"conversations": "conversations", "system": "system"},
            True,
        ),
        (
            {"instruction": "a", "input": "", "output": "b"},
            "alpaca",
            {"instruction": "instruction", "input": "input", "output": "output"},
            True,
        ),
        (
            {"instruction": "a", "output": "b", "text": "all"},
            "alpaca",
            {"instruction": "instruction", "output": "output"},
            True,
        ),
        (
            {"instruction": "a", "context": "c", "response": "b", "category": "x"},
            "alpaca",
            {"instruction": "instruction", "input": "context", "output": "response"},
            False,
        ),
        (
            {"prompt": "a", "completion": "b"},
            "prompt-completion",
            {"prompt": "prompt", "completion": "completion"},
            True,
        ),
        (
            {" Prompt ": "a", "Completion": "b"},
            "prompt-completion",
            {"prompt": " Prompt ", "completion": "Completion"},
            True,
        ),
        (
            {"question": "a", "answer": "b"},
            "prompt-completion",
            {"prompt": "question", "completion": "answer"},
            True,
        ),
        (
            {"question": "a", "answer": "b", "context": "c"},
            "prompt-completion",
            {"prompt": "question", "completion": "answer"},
            False,
        ),
        (
            {"query": "a", "reply": "b"},
            "prompt-completion",
            {"prompt": "query", "completion": "reply"},
            False,
        ),
        ({"text": "a", "label": "b"}, "prompt-completion", {"prompt": "text", "completion": "label"}, False),
        ({"text": "a", "url": "u"}, "text", {"text": "text"}, True),
        ({"body": "a"}, "text", {"text": "body"}, False),
        (
            {"prompt": "a", "chosen": "b", "rejected": "c"},
            "preference",
            {"chosen": "chosen", "rejected": "rejected", "prompt": "prompt"},
            True,
        ),
        (
            {"conversations": SHAREGPT[:1], "chosen": {}, "rejected": {}},
            "preference",
            {"chosen": "chosen", "rejected": "rejected", "prompt": "conversations"},
            True,
        ),
        (
            {"chosen": TURNS, "rejected": TURNS},
            "preference",
            {"chosen": "chosen", "rejected": "rejected"},
            True,
        ),
        (
            {"question": "a", "chosen": "b", "rejected": "c"},
            "preference",
            {"chosen": "chosen", "rejected": "rejected", "prompt": "question"},
            False,
        ),
        (
            {"prompt": "a", "completion": "b", "label": True},
            "kto",
            {"completion": "completion", "label": "label", "prompt": "prompt"},
            True,
        ),
        (
            {"prompt": "a", "completion": "b", "label": "spam"},
            "prompt-completion",
            {"prompt": "prompt", "completion": "completion"},
            True,
        ),
    ],
)
def test_a_shape_is_told_by_names_and_content(
    row: dict[str, Any], shape: str, columns: dict[str, str], confident: bool
) -> None:
    found = detect(raw(row, row))
    assert (found.shape, dict(found.columns), found.confident) == (shape, columns, confident)


@pytest.mark.parametrize(
    "row",
    [{"q": "a", "a": "b"}, {"id": 1}, {"messages": "just words"}, {"messages": ["a", "b"]}, {"x": None}, {}],
)
def test_what_says_nothing_is_unknown(row: dict[str, Any]) -> None:
    assert detect(raw(row)) == UNKNOWN


def test_many_rows_decide_not_the_first() -> None:
    alpaca = {"instruction": "a", "output": "b"}
    assert detect(raw({"messages": TURNS}, alpaca, alpaca, alpaca)).shape == "alpaca"


def test_an_optional_column_counts_when_any_row_has_it() -> None:
    found = detect(raw({"messages": TURNS}, {"messages": TURNS, "tools": "[]"}))
    assert found.columns == {"messages": "messages", "tools": "tools"}


def test_the_users_mapping_comes_first() -> None:
    rows = raw({"q": "a", "a": "b", "prompt": "not this"})
    found = choose(rows, "auto", {"prompt": "q", "completion": "a"})
    assert (found.shape, found.columns, found.confident) == (
        "prompt-completion",
        {"prompt": "q", "completion": "a"},
        True,
    )


def test_a_format_alone_finds_its_usual_columns() -> None:
    assert choose(raw({"question": "a", "answer": "b"}), "prompt-completion").columns == {
        "prompt": "question",
        "completion": "answer",
    }
    assert choose(raw({"conversations": TURNS}), "messages").columns == {"messages": "conversations"}
    assert choose(raw({"text": "a", "label": "b"}), "text").columns == {"text": "text"}


@pytest.mark.parametrize(
    ("shape", "columns", "what", "fix"),
    [
        (
            "auto",
            {"prompt": "qestion", "completion": "answer"},
            "no column 'qestion'",
            "Did you mean question?",
        ),
        ("auto", {"promt": "question"}, "no format is made of promt", "Name parts and their columns"),
        (
            "alpaca",
            {"prompt": "question"},
            "alpaca has no part 'prompt'",
            "Its parts are: instruction, output",
        ),
        ("alpaca", {}, "needs a column for instruction", "The columns are: question, answer"),
        ("mesages", {}, "there is no format 'mesages'", "Did you mean messages?"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused(
    shape: str, columns: dict[str, str], what: str, fix: str
) -> None:
    with pytest.raises(InputError) as caught:
        choose(raw({"question": "a", "answer": "b"}), shape, columns)
    assert what in caught.value.what
    assert fix in caught.value.fix


def test_the_mapping_comes_with_a_preview_of_one_row() -> None:
    rows = raw(
        {"query": "", "reply": "x"},
        {"query": "\x1b[31mHi " + "there " * 20, "reply": {"a": 1}, "id": 7},
        {"query": "later", "reply": "y"},
    )
    mapping = choose(rows)
    assert list(mapping.preview) == ["prompt", "completion"]
    assert mapping.preview["prompt"].startswith("Hi there")
    assert len(mapping.preview["prompt"]) <= 60
    assert mapping.preview["completion"] == '{"a": 1}'
    corrected = choose(rows, columns={"prompt": "reply", "completion": "query"})
    assert corrected.preview["prompt"] == '{"a": 1}'


def test_an_unknown_shape_is_previewed_by_column() -> None:
    assert choose(raw({"q": "Hi", "a": "Hello"})).preview == {"q": "Hi", "a": "Hello"}
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    assert choose(raw({"q": deep})).preview == {"q": "nested too deeply"}
