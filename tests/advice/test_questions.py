"""The questions, and answers that come from files."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_ft.advice.command import answers_from_toml, questions_json, questions_text, verdict_text
from tui_ft.advice.outcomes import OUTCOMES
from tui_ft.advice.questions import QUESTIONS, as_document, next_question, parse_answers
from tui_ft.advice.verdict import decide
from tui_ft.errors import InputError


def test_there_are_at_most_twelve_and_each_explains_itself() -> None:
    assert len(QUESTIONS) <= 12
    for question in QUESTIONS:
        assert question.text.endswith("?")
        assert question.help.endswith(".")
        assert question.example
        assert question.values[-1] == "dont_know"
        assert len(set(question.values)) == len(question.values)
        assert max(len(option.label) for option in question.options) <= 72


def test_a_skipped_question_is_not_asked_again() -> None:
    first = next_question({})
    assert first is not None
    assert first.id == "gap"
    second = next_question({}, skipped={"gap"})
    assert second is not None
    assert second.id == "knowledge"


def test_answers_come_back_as_they_went_out() -> None:
    given = {"gap": "form", "behaviour": ["format", "task"], "tried": "few_shot"}
    answers = parse_answers(given)
    assert answers == {"gap": "form", "behaviour": ("format", "task"), "tried": ("few_shot",)}
    assert parse_answers(as_document(answers)) == answers


def test_every_unknown_question_and_value_is_named_with_the_nearest() -> None:
    with pytest.raises(InputError) as caught:
        parse_answers(
            {
                "gapp": "form",
                "behaviour": ["formt", "task"],
                "examples": 300,
                "result": ["close", "dont_know"],
            },
            source="mine.toml",
        )
    text = str(caught.value)
    assert len(caught.value.problems) == 4
    assert "mine.toml: gapp" in text
    assert "Did you mean gap?" in text
    assert "“formt”" in text
    assert "Did you mean format?" in text
    assert "not 300" in text
    assert "one answer, not several" in text


@given(st.dictionaries(st.text(), st.none() | st.text() | st.lists(st.text()) | st.integers() | st.floats()))
def test_whatever_is_given_is_parsed_or_refused_in_words(given: dict[str, object]) -> None:
    try:
        answers = parse_answers(given)
    except InputError as error:
        refused = error
    else:
        decide(answers)
        return
    assert all(problem.fix for problem in refused.problems)
    assert "\x1b" not in str(refused)


def test_an_empty_list_is_a_skipped_question() -> None:
    assert parse_answers({"tried": []}) == {}


@pytest.mark.parametrize("head", ["", "[answers]\n"])
def test_answers_from_a_file(tmp_path: Path, head: str) -> None:
    file = tmp_path / "answers.toml"
    file.write_text(head + 'gap = "facts"\nknowledge = ["private"]\n')
    assert decide(answers_from_toml(file)).verdict == "RAG"


def test_keys_beside_the_answers_table_are_not_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "answers.toml"
    file.write_text('gapp = "form"\n[answers]\ngap = "facts"\n')
    with pytest.raises(InputError, match="gapp"):
        answers_from_toml(file)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"gap = form\n", "not valid TOML"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b'answers = "form"\n', "no such question"),
    ],
)
def test_a_file_that_is_no_answers(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "answers.toml"
    file.write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        answers_from_toml(file)
    assert caught.value.fix


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        answers_from_toml(tmp_path / "none.toml")
    with pytest.raises(InputError, match="cannot be read"):
        answers_from_toml(tmp_path)


def test_the_list_of_questions_is_plain_json() -> None:
    document = json.loads(json.dumps(questions_json()))
    assert [question["id"] for question in document["questions"]] == [question.id for question in QUESTIONS]
    assert all(
        question["answers"] and question["choose"] in ("one", "any") for question in document["questions"]
    )


def test_the_questions_as_text_are_toml_to_fill_in() -> None:
    filled = "\n".join(
        line.removeprefix("# ") if " = " in line else line for line in questions_text().splitlines()
    )
    assert list(tomllib.loads(filled)) == [question.id for question in QUESTIONS]


def test_the_verdict_as_text_has_every_part() -> None:
    verdict = decide(
        {"gap": "form", "behaviour": ("format",), "tried": ("few_shot",), "result": "good_enough"}
    )
    text = verdict_text(verdict)
    for title in ("Why", "What would change it", "Answers that don't go together", "What to do tomorrow"):
        assert f"\n{title}\n" in text


def test_every_end_of_the_checklist_is_worded() -> None:
    for outcome in OUTCOMES.values():
        assert outcome.headline.endswith(".")
        assert outcome.reason.endswith(".")
        assert 3 <= len(outcome.steps) <= 5
        assert all(step.endswith((".", "?")) for step in outcome.steps)
        assert len(f"So far    leaning to {outcome.verdict}: {outcome.clause}") <= 80


def test_the_room_loads_nothing_heavy() -> None:
    code = "import sys, tui_ft.advice.command; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "textual", "transformers", "pydantic", "datasets"} & set(done.stdout.split())
