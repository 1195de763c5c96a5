"""Rows of every shape in one canonical form, and why some cannot be learned from."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_ft.data.convert import canonical, to_row
from tui_ft.data.rows import ColumnMapping, RawRow, Row, Unusable
from tui_ft.data.shapes import detect

USER, ANSWER = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}
CALL = {"type": "function", "function": {"name": "tip", "arguments": {"bill": 5}}}


def convert(values: dict[str, Any], mapping: ColumnMapping | None = None, system: str = "") -> Row | Unusable:
    raw = RawRow("x.jsonl", 7, values)
    return to_row(raw, mapping or detect([raw]), system)


def turns(values: dict[str, Any], system: str = "") -> list[dict[str, Any]]:
    row = convert(values, system=system)
    assert isinstance(row, Row), row
    return [dict(turn) for turn in row.dialogue]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"messages": [USER, ANSWER]}, [USER, ANSWER]),
        ({"messages": json.dumps([USER, ANSWER])}, [USER, ANSWER]),
        (
            {"messages": [{"role": "developer", "content": "s"}, USER, ANSWER]},
            [{"role": "system", "content": "s"}, USER, ANSWER],
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, ANSWER]},
            [USER, ANSWER],
        ),
        (
            {"messages": [USER, {**ANSWER, "reasoning_content": "greet"}]},
            [USER, {**ANSWER, "reasoning_content": "greet"}],
        ),
        (
            {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
            [USER, ANSWER],
        ),
        (
            {
                "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}],
                "system": "s",
            },
            [{"role": "system", "content": "s"}, USER, ANSWER],
        ),
        (
            {"instruction": "Add", "input": "1 2", "output": "3"},
            [{"role": "user", "content": "Add\n\n1 2"}, {"role": "assistant", "content": "3"}],
        ),
        (
            {"instruction": "Hi", "input": "", "output": "Hello", "history": [["a", "b"]]},
            [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, USER, ANSWER],
        ),
        ({"prompt": "Hi", "completion": "Hello"}, [USER, ANSWER]),
        ({"prompt": [USER], "completion": [ANSWER]}, [USER, ANSWER]),
        (
            {"question": "Stars?", "answer": 5},
            [{"role": "user", "content": "Stars?"}, {"role": "assistant", "content": "5"}],
        ),
        (
            {"prompt": "Hi", "completion": {"a": ["é"]}},
            [USER, {"role": "assistant", "content": '{"a": ["é"]}'}],
        ),
        ({"prompt": "Hi", "chosen": "Hello", "rejected": "No"}, [USER, ANSWER]),
        ({"chosen": [USER, ANSWER], "rejected": [USER, {**ANSWER, "content": "No"}]}, [USER, ANSWER]),
        (
            {
                "conversations": [{"from": "human", "value": "Hi"}],
                "chosen": {"from": "gpt", "value": "Hello"},
                "rejected": {"from": "gpt", "value": "No"},
            },
            [USER, ANSWER],
        ),
        ({"prompt": "Hi", "completion": "Hello", "label": True}, [USER, ANSWER]),
        (
            {
                "conversations": [
                    {"from": "human", "value": "Hi"},
                    {"from": "function_call", "value": '{"name": "tip", "arguments": {"bill": 5}}'},
                    {"from": "observation", "value": '{"tip": 1}'},
                    {"from": "gpt", "value": "Hello"},
                ]
            },
            [
                USER,
                {"role": "assistant", "content": "", "tool_calls": [CALL]},
                {"role": "tool", "content": '{"tip": 1}'},
                ANSWER,
            ],
        ),
        (
            {
                "messages": [
                    USER,
                    {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [
                            {
                                "id": "c1",
                                "type": "function",
                                "function": {"name": "tip", "arguments": '{"bill": 5}'},
                            }
                        ],
                    },
                    {"role": "tool", "content": {"tip": 1}, "name": "tip", "tool_call_id": "c1"},
                    {"role": "tool", "content": ""},
                    ANSWER,
                ]
            },
            [
                USER,
                {"role": "assistant", "content": "", "tool_calls": [{"id": "c1", **CALL}]},
                {"role": "tool", "content": '{"tip": 1}', "name": "tip", "tool_call_id": "c1"},
                {"role": "tool", "content": ""},
                ANSWER,
            ],
        ),
    ],
)
def test_every_shape_becomes_the_same_turns(values: dict[str, Any], expected: list[dict[str, Any]]) -> None:
    assert turns(values) == expected


def test_the_other_parts_of_a_row() -> None:
    pair = convert({"prompt": "Hi", "chosen": "Hello", "rejected": "No"})
    assert isinstance(pair, Row)
    assert (pair.chosen, pair.rejected, pair.answer, len(pair.messages)) == ("Hello", "No", "Hello", 1)
    bad = convert({"prompt": "Hi", "completion": "No", "label": False})
    assert isinstance(bad, Row)
    assert bad.label is False
    text = convert({"text": "Words."})
    assert isinstance(text, Row)
    assert (text.text, text.messages, text.answer) == ("Words.", (), "")
    tools = convert({"messages": [USER, ANSWER], "tools": '[{"name": "tip", "parameters": {}}]'})
    assert isinstance(tools, Row)
    assert tools.tools == ({"type": "function", "function": {"name": "tip", "parameters": {}}},)


@pytest.mark.parametrize(
    ("values", "finding"),
    [
        ({"messages": [USER]}, "no-answer"),
        ({"messages": []}, "no-answer"),
        ({"messages": [USER, ANSWER, USER]}, "answer-not-last"),
        ({"messages": [ANSWER, USER]}, "role-order"),
        ({"messages": [USER, USER, ANSWER]}, "role-order"),
        ({"messages": [USER, ANSWER, ANSWER]}, "role-order"),
        ({"messages": [USER, {"role": "system", "content": "s"}, ANSWER]}, "role-order"),
        ({"messages": [USER, {"role": "tool", "content": "x"}, ANSWER]}, "role-order"),
        ({"messages": [USER, {"role": "assistent", "content": "x"}]}, "unknown-role"),
        ({"messages": [USER, {"content": "x"}]}, "unknown-role"),
        ({"messages": [USER, {"role": 3, "content": "x"}]}, "unknown-role"),
        ({"messages": [USER, {"role": "assistant", "content": " \n"}]}, "empty-answer"),
        ({"messages": [USER, {"role": "assistant", "content": None}]}, "empty-answer"),
        ({"messages": [{"role": "user", "content": ""}, ANSWER]}, "empty-prompt"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}, ANSWER]}, "not-text"),
        ({"messages": [USER, {**ANSWER, "tool_calls": "tip"}]}, "bad-tool-call"),
        ({"messages": [USER, {**ANSWER, "tool_calls": [{"function": {"arguments": {}}}]}]}, "bad-tool-call"),
        ({"messages": [USER, {**ANSWER, "tool_calls": [{"name": "a", "arguments": "{"}]}]}, "bad-tool-call"),
        ({"messages": [USER, ANSWER], "tools": "[{"}, "bad-tool-call"),
        (
            {"conversations": [{"from": "human", "value": "Hi"}, {"from": "function_call", "value": "tip("}]},
            "bad-tool-call",
        ),
        ({"instruction": "a", "output": ""}, "empty-answer"),
        ({"instruction": " ", "input": "", "output": "b"}, "empty-prompt"),
        ({"instruction": "a", "output": None}, "missing-field"),
        ({"instruction": "a", "output": "b", "history": "x"}, "not-text"),
        ({"prompt": None, "completion": "b"}, "missing-field"),
        ({"prompt": b"bytes", "completion": "b"}, "not-text"),
        ({"text": ""}, "empty-answer"),
        ({"text": None}, "missing-field"),
        ({"text": "half a pair \ud83d"}, "broken-unicode"),
        ({"prompt": "a", "chosen": "b", "rejected": "b"}, "same-pair"),
        ({"prompt": "a", "chosen": "", "rejected": "b"}, "empty-answer"),
        ({"chosen": "b", "rejected": "c"}, "missing-field"),
        ({"chosen": [USER, ANSWER], "rejected": [ANSWER, ANSWER]}, "role-order"),
        ({"q": "a", "a": "b"}, "unknown-columns"),
    ],
)
def test_what_cannot_be_learned_from_says_why(values: dict[str, Any], finding: str) -> None:
    mapping = detect([RawRow("x", 1, values)])
    if values == {"messages": []}:
        mapping = ColumnMapping("messages", {"messages": "messages"}, confident=True)
    row = convert(values, mapping)
    assert isinstance(row, Unusable)
    assert (row.id, row.file, row.line) == (finding, "x.jsonl", 7)


def test_a_label_that_is_no_verdict() -> None:
    mapping = ColumnMapping("kto", {"prompt": "prompt", "completion": "completion", "label": "label"}, True)
    row = convert({"prompt": "a", "completion": "b", "label": "maybe"}, mapping)
    assert isinstance(row, Unusable)
    assert row.id == "bad-label"


def test_a_row_of_another_shape_is_told_as_such() -> None:
    mapping = ColumnMapping("alpaca", {"instruction": "instruction", "output": "output"}, confident=True)
    row = convert({"messages": [USER, ANSWER]}, mapping)
    assert isinstance(row, Unusable)
    assert (row.id, row.what) == ("mixed-shapes", "looks like messages, while most rows are alpaca")


def test_the_system_prompt_goes_before_rows_without_one_and_leaves_the_id() -> None:
    plain, given_one = (
        convert({"messages": [USER, ANSWER]}),
        convert({"messages": [USER, ANSWER]}, system="S"),
    )
    assert isinstance(plain, Row)
    assert isinstance(given_one, Row)
    assert given_one.messages == ({"role": "system", "content": "S"}, *plain.messages)
    assert given_one.id == plain.id
    own = [{"role": "system", "content": "own"}, USER, ANSWER]
    assert turns({"messages": own}, system="S") == own


def test_the_id_is_of_the_content_not_of_its_form() -> None:
    ids = {
        row.id
        for values in (
            {"messages": [USER, ANSWER]},
            {"conversations": [{"from": "human", "value": "Hi"}, {"value": "Hello", "from": "gpt"}]},
            {"prompt": "Hi", "completion": "Hello"},
        )
        if isinstance(row := convert(values), Row)
    }
    assert len(ids) == 1
    assert len(ids.pop()) == 16


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(max_size=5)
        | st.sampled_from(["user", "assistant"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["role", "content", "from", "value", "tool_calls", "name"]), inner
            )
        ),
        max_leaves=12,
    ),
    st.sampled_from(
        ["messages", "conversations", "prompt", "completion", "chosen", "rejected", "tools", "history"]
    ),
)
def test_no_value_crashes_the_conversion(value: Any, column: str) -> None:
    base: dict[str, Any] = {"messages": [USER, ANSWER]}
    if column in ("prompt", "completion"):
        base = {"prompt": "a", "completion": "b"}
    elif column in ("chosen", "rejected"):
        base = {"prompt": "a", "chosen": "b", "rejected": "c"}
    elif column == "history":
        base = {"instruction": "a", "output": "b"}
    mapping = detect([RawRow("x", 1, {**base, **({column: "x"} if column in ("tools", "history") else {})})])
    assert isinstance(convert({**base, column: value}, mapping), Row | Unusable)


@pytest.mark.parametrize(
    ("values", "shape", "columns", "finding", "field"),
    [
        ({"q": "Hi", "a": ""}, "prompt-completion", {"prompt": "q", "completion": "a"}, "empty-answer", "a"),
        ({"q": " ", "a": "x"}, "prompt-completion", {"prompt": "q", "completion": "a"}, "empty-prompt", "q"),
        ({"q": "Hi"}, "prompt-completion", {"prompt": "q", "completion": "a"}, "missing-field", "a"),
        ({"chat": [{"role": "x"}]}, "messages", {"messages": "chat"}, "unknown-role", "chat"),
        ({"chat": "x"}, "messages", {"messages": "chat"}, "not-text", "chat"),
        (
            {"p": "Hi", "c": "x", "ok": "maybe"},
            "kto",
            {"prompt": "p", "completion": "c", "label": "ok"},
            "bad-label",
            "ok",
        ),
    ],
)
def test_the_column_to_blame_is_named(
    values: dict[str, Any], shape: Any, columns: dict[str, str], finding: str, field: str
) -> None:
    fault = to_row(RawRow("x", 1, values), ColumnMapping(shape, columns, confident=True))
    assert isinstance(fault, Unusable)
    assert (fault.id, fault.field) == (finding, field)


_texts = st.text(st.characters(codec="utf-8"), max_size=20)
_turns = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["system", "user", "assistant", "tool", "human", "Assistant"]),
            "content": _texts,
        },
        optional={"name": _texts, "reasoning_content": _texts},
    ),
    max_size=5,
)


@given(_turns)
def test_the_short_way_to_the_canonical_form_gives_what_the_long_way_gives(
    turns: list[dict[str, str]],
) -> None:
    mapping = ColumnMapping("messages", {"messages": "messages"}, confident=True)
    short = to_row(RawRow("x", 1, {"messages": turns}), mapping)
    # A third key, without meaning, sends every turn the long way.
    long = to_row(RawRow("x", 1, {"messages": [{**turn, "weight": 1} for turn in turns]}), mapping)
    if isinstance(short, Row):
        assert short == long
        content = [short.messages, None, None, None, None, short.tools]
        assert canonical(short) == json.dumps(
            content, ensure_ascii=False, sort_keys=True, separators=(",", ":")
        )
    else:
        assert isinstance(long, Unusable)
        assert (short.id, short.what) == (long.id, long.what)
