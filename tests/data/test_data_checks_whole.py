"""Checks that need to see many rows: JSON, labels, system prompts, languages, white space."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from tests.data.conftest import WriteRows
from tests.data.samples import chat
from tui_ft.data.check import check, to_json
from tui_ft.data.describe import report_lines
from tui_ft.data.json_answers import JsonAnswers
from tui_ft.data.labels import Labels
from tui_ft.data.languages import Languages, language_of
from tui_ft.data.likeness import misspelt, same_but_for_form
from tui_ft.data.observers import Answers
from tui_ft.data.panel import Panel
from tui_ft.data.rows import Finding, Message, Row
from tui_ft.data.system_prompts import SystemPrompts
from tui_ft.data.tally import Tally
from tui_ft.data.whitespace import Whitespace
from tui_ft.recipe import Data

ENGLISH = "This is what the people of the town have to say, and it is not what you would think of them."
GERMAN = (
    "Das ist nicht das, was wir über die Stadt sagen, und ich fahre auch nicht mit dem Bus für eine Woche."
)
FRENCH = "Vous avez une maison dans la rue et nous sommes avec les enfants pour une semaine, c'est très bien."


def rows_of(answers: Iterable[str], prompt: str = "Question {}?", system: str = "") -> list[Row]:
    """A row per answer, numbered from 1."""
    first = (Message(role="system", content=system),) if system else ()
    return [
        Row(
            f"{number:016x}",
            "rows.jsonl",
            number,
            (
                *first,
                Message(role="user", content=prompt.format(number)),
                Message(role="assistant", content=answer),
            ),
        )
        for number, answer in enumerate(answers, 1)
    ]


def found(rows: Iterable[Row], make: Callable[[], Any] = Panel) -> dict[str, Finding]:
    """What is found when one observer sees all rows, and when the rows are shared among three."""
    rows, tally, merged_tally = list(rows), Tally(), Tally()
    alone, parts = make(), [make() for _ in range(3)]
    third = len(rows) // 3
    for number, row in enumerate(rows):
        alone.see(row)
        parts[min(2, number // max(1, third))].see(row)
    merged, *others = (pickle.loads(pickle.dumps(part)) for part in parts)
    for other in others:
        merged.merge(other)
    alone.state(tally)
    merged.state(merged_tally)
    assert tally.findings(()) == merged_tally.findings(())
    return {finding.id: finding for finding in tally.findings(())}


def lines(finding: Finding) -> list[int]:
    return [example.line for example in finding.examples]


def ticket(number: int, **more: Any) -> dict[str, Any]:
    return {
        "category": ("billing", "technical", "other")[number % 3],
        "priority": ("low", "medium", "high")[number % 3],
        "id": number,
        **more,
    }


def as_json(values: Iterable[Any]) -> list[Row]:
    return rows_of(json.dumps(value) for value in values)


def test_json_of_one_form_is_sound() -> None:
    assert found(as_json(ticket(i) for i in range(200))) == {}
    assert found(as_json(ticket(i, product=None if i % 4 else "lamp") for i in range(200))) == {}
    assert found(as_json(ticket(i) | ({"note": "x"} if i % 7 == 0 else {}) for i in range(200))) == {}
    assert found(as_json([i, i + 1] for i in range(200))) == {}


def test_a_missing_field_is_found_with_its_coverage() -> None:
    values = [ticket(i) for i in range(200)]
    for i in (3, 50, 120):
        del values[i]["priority"]
    (finding,) = found(as_json(values)).values()
    assert (finding.id, finding.count, lines(finding)) == ("json-schema", 3, [4, 51, 121])
    assert finding.examples[0].excerpt == "priority is missing; 197 of 200 rows have it"


def test_another_type_and_a_misspelt_field_are_found() -> None:
    values = [ticket(i) for i in range(200)]
    values[9]["id"] = "9"
    values[20] = {"category": "other", "priorty": "low", "id": 20}
    finding = found(as_json(values))["json-schema"]
    assert finding.count == 2
    assert {example.line: example.excerpt for example in finding.examples} == {
        10: "id is text, usually a number",
        21: "priorty, elsewhere priority",
    }


def test_values_that_came_once() -> None:
    values = [ticket(i) for i in range(200)]
    values[9]["priority"] = "hihg"
    values[20]["category"] = "refund"
    seen = found(as_json(values))
    assert [e.excerpt for e in seen["json-schema"].examples] == ["priority is 'hihg', elsewhere 'high'"]
    assert [e.excerpt for e in seen["odd-values"].examples] == [
        "category is 'refund', which no other row has"
    ]
    free = [ticket(i, name=f"Person {i}") for i in range(200)]
    assert found(as_json(free)) == {}


def test_fields_within_objects_and_lists() -> None:
    values = [
        ticket(i, customer={"name": f"P{i}", "vip": False}, items=[{"sku": f"s{i}", "n": i}])
        for i in range(100)
    ]
    del values[4]["customer"]["vip"]
    del values[7]["items"][0]["n"]
    values[8]["customer"] = None
    finding = found(as_json(values))["json-schema"]
    assert [(e.line, e.excerpt) for e in finding.examples] == [
        (5, "customer.vip is missing; 98 of 99 rows have it"),
        (8, "items[].n is missing; 99 of 100 rows have it"),
    ]


def test_fences() -> None:
    fenced = [f"```json\n{json.dumps(ticket(i), indent=1)}\n```" for i in range(100)]
    finding = found(rows_of(fenced), JsonAnswers)["fenced-json"]
    assert (finding.count, finding.severity) == (100, "info")
    mixed = [json.dumps(ticket(i)) for i in range(100)]
    mixed[5] = fenced[5]
    finding = found(rows_of(mixed), JsonAnswers)["fenced-json"]
    assert (finding.count, finding.severity, lines(finding)) == (1, "warning", [6])
    fenced[7] = "```json\n{\n```"
    assert lines(found(rows_of(fenced), JsonAnswers)["broken-json"]) == [8]
    code = [f"```python\nprint({i})\n```" for i in range(100)]
    assert found(rows_of(code), JsonAnswers) == {}


def test_the_schema_is_in_the_report_and_fits(write_rows: WriteRows) -> None:
    from jsonschema import Draft202012Validator

    values = [ticket(i, product=None if i % 4 else "lamp", tags=["a"], at={"x": 1.5}) for i in range(200)]
    path = write_rows({"prompt": f"Ticket {i}", "completion": json.dumps(v)} for i, v in enumerate(values))
    report = to_json(check(Data(path=path.name), base=path.parent))
    assert report["findings"] == []
    schema = report["schema"]
    assert schema["rows"] == 200
    assert schema["fields"]["priority"] == {
        "rows": 200,
        "of": 200,
        "types": {"string": 200},
        "values": {"low": 67, "medium": 67, "high": 66},
    }
    validator = Draft202012Validator(schema["json_schema"])
    Draft202012Validator.check_schema(schema["json_schema"])
    assert all(validator.is_valid(value) for value in values)
    for wrong in (
        {},
        {**values[0], "priority": "urgent"},
        {**values[0], "at": {"x": "far"}},
        {**values[0], "id": "1"},
    ):
        assert not validator.is_valid(wrong)
    assert json.loads(json.dumps(report)) == report


def test_there_is_no_schema_without_a_common_form() -> None:
    observer = JsonAnswers()
    for row in as_json({f"key{i}": i} for i in range(300)):
        observer.see(row)
    assert observer.schema is None
    assert found(as_json({f"key{i}": i} for i in range(300))) == {}
    observer = JsonAnswers()
    for row in rows_of(["Plain text."] * 50):
        observer.see(row)
    assert observer.schema is None


def labelled(**counts: int) -> list[Row]:
    return rows_of(label.replace("_", " ") for label, number in counts.items() for _ in range(number))


def test_balanced_labels_are_sound() -> None:
    assert found(labelled(positive=60, negative=50, neutral=40)) == {}
    assert found(labelled(A=60, B=50, C=40, D=9)) == {}
    assert found(labelled(valid=100, invalid=10, atypical=20, typical=80)) == {}
    assert found(rows_of(str(1 + i % 5) for i in range(200))) == {}


def test_misspelt_labels() -> None:
    finding = found(labelled(positive=100, negative=90, positve=1, Positive=20))["misspelt-labels"]
    assert finding.count == 21
    assert {e.excerpt for e in finding.examples} == {
        "Positive, elsewhere positive",
        "positve, elsewhere positive",
    }
    assert lines(finding) == [191, 192, 193, 194, 195]


def test_rare_labels_and_imbalance() -> None:
    seen = found(labelled(billing=100, technical=90, fraud=3))
    assert {finding.id: finding.count for finding in seen.values()} == {"rare-labels": 3}
    assert seen["rare-labels"].examples[0].excerpt == "fraud: 3 rows"
    seen = found(labelled(ham=190, spam=10))
    assert seen["label-imbalance"].what == "95.0 % of the answers are 'ham'."
    assert found(labelled(ham=170, spam=30)) == {}


def test_label_counts_are_in_the_report(write_rows: WriteRows) -> None:
    path = write_rows(
        {"prompt": f"Text {i}", "completion": "spam" if i % 4 == 0 else "ham"} for i in range(200)
    )
    report = to_json(check(Data(path=path.name), base=path.parent))
    assert report["answers"]["look_like"] == "label"
    assert report["answers"]["labels"] == {"ham": 150, "spam": 50}
    answers = Answers()
    assert Labels(answers).counts == {}


@pytest.mark.parametrize(
    ("rare", "usual", "expected"),
    [
        ("positve", "positive", True),
        ("postiive", "positive", True),
        ("Not Sure.", "not_sure", True),
        ("invalid", "valid", False),
        ("irrelevant", "relevant", False),
        ("unlikely", "likely", False),
        ("class 1", "class 2", False),
        ("male", "female", False),
        ("no", "not", False),
        ("+", "-", False),
        ("hot", "cold", False),
    ],
)
def test_misspelt(rare: str, usual: str, expected: bool) -> None:
    assert misspelt(rare, usual) is expected
    assert not same_but_for_form(usual, usual)


def test_system_prompts_of_one_kind_are_sound() -> None:
    answers = [f"Answer number {i} to it." for i in range(100)]
    assert found(rows_of(answers)) == {}
    assert found(rows_of(answers, system="You are a helpful assistant.")) == {}
    different = [
        *rows_of(answers[:50], system="You are a pirate and speak like one."),
        *rows_of(answers[50:], system="Answer questions about tax law in one sentence."),
    ]
    assert found(different) == {}
    dated = [
        row
        for i in range(10)
        for row in rows_of(answers[:9], system=f"You are a helpful assistant. It is May {i}.")
    ]
    assert found(dated) == {}
    many = [
        row
        for i in range(60)
        for row in rows_of(answers[:2], system=f"You help {'abcdefghij'[i % 10] * i} only.")
    ]
    assert found(many) == {}
    few = [*rows_of(answers), *rows_of(answers[:5], system="You are a helpful assistant.")]
    assert found(few) == {}


def test_system_prompts_that_drift() -> None:
    answers = [f"Answer number {i} to it." for i in range(100)]
    rows = rows_of(answers, system="You are a helpful assistant. Answer briefly.")
    rows += rows_of(answers[:3], system="You are an helpful assistant. Answer briefly.")
    rows += rows_of(answers[:2])
    seen = found(rows, SystemPrompts)
    assert (seen["system-drift"].count, seen["system-missing"].count) == (3, 2)
    assert "an helpful" in seen["system-drift"].examples[0].excerpt
    assert seen["system-missing"].examples[0].excerpt == "103 other rows with one"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (ENGLISH, "English"),
        (GERMAN, "German"),
        (FRENCH, "French"),
        ("El perro y los gatos están muy cerca, pero hay más agua y también sus crías.", "Spanish"),
        ("Il cane è nel giardino della casa e gli altri sono più lontani, anche questo.", "Italian"),
        ("Você não vai ao mercado porque os preços são muito altos e isso também.", "Portuguese"),
        ("Het is niet voor ons maar ook voor een ander dat deze kinderen naar huis worden.", "Dutch"),
        ("Привет, как у вас дела сегодня? У нас всё хорошо, спасибо.", "a language in Cyrillic letters"),
        ("今天天气很好，我们一起去公园散步，然后回家吃饭吧。", "Chinese"),
        ("今日はとても良い天気ですね。公園に行きましょう。", "Japanese"),
        ("오늘은 날씨가 아주 좋아요. 같이 공원에 갈까요?", "Korean"),
        ("Hello there", None),
        ("for i in range(10): print(i, i + 1, i * 2, sep=', ')", None),
        ("3 4 5 6 7 8 9 10 11 12 13 14 15", None),
        ("", None),
        ("…" * 50, None),
    ],
)  # fmt: skip
def test_language_of(text: str, language: str | None) -> None:
    assert language_of(text) == language


def test_languages_that_slipped_in() -> None:
    rows = rows_of([ENGLISH] * 200, ENGLISH + " {}")
    rows[6] = rows_of([ENGLISH], GERMAN)[0]
    rows[9] = rows_of([GERMAN], GERMAN)[0]
    seen = found(rows, Languages)
    assert seen["answer-language"].count == 1
    assert seen["answer-language"].examples[0].excerpt.startswith("asked in German, answered in English")
    assert seen["stray-languages"].count == 2
    assert "99.0 % of those that are clear are in English" in seen["stray-languages"].what


def test_a_short_question_has_the_language_of_its_answer() -> None:
    rows = rows_of([ENGLISH] * 200, ENGLISH)
    rows[4] = rows_of(["Der Toner liegt im untersten Fach, gleich neben dem Papier."], "Wo ist der Toner?")[0]
    assert found(rows, Languages)["stray-languages"].examples[0].excerpt == "German"


def test_languages_on_purpose() -> None:
    half = rows_of([ENGLISH] * 50, ENGLISH) + rows_of([GERMAN] * 50, GERMAN)
    assert found(half, Languages) == {}
    several = (
        rows_of([ENGLISH] * 50, ENGLISH) + rows_of([GERMAN] * 50, GERMAN) + rows_of([FRENCH] * 2, FRENCH)
    )
    assert found(several, Languages) == {}
    task = rows_of([GERMAN] * 90, ENGLISH) + rows_of([ENGLISH] * 10, ENGLISH)
    assert found(task, Languages) == {}
    asked = rows_of([ENGLISH] * 90, ENGLISH) + rows_of([GERMAN] * 2, f"Translate into German: {ENGLISH}")
    assert found(asked, Languages) == {}


def test_white_space_around_answers() -> None:
    answers = [f"Answer number {i} to it." for i in range(100)]
    assert found(rows_of(answers), Whitespace) == {}
    assert found(rows_of(f" {answer}" for answer in answers), Whitespace) == {}
    answers[3], answers[5], answers[7] = "Ends so. \n\n", "\n Begins so.", " One blank."
    finding = found(rows_of(answers), Whitespace)["outer-whitespace"]
    assert (finding.count, lines(finding), finding.severity) == (3, [4, 6, 8], "info")


def test_plain_text_and_pairs_are_no_answers_of_these_kinds() -> None:
    texts = [Row("00", "f", i, text='{"a": 1} ') for i in range(60)]
    assert found(texts) == {}
    row = chat(("user", "Hi"), ("assistant", ""))
    assert found([row]) == {}


def test_the_report_in_words_tells_labels_and_fields(write_rows: WriteRows) -> None:
    path = write_rows(
        {"prompt": f"Text {i}", "completion": "spam" if i % 4 == 0 else "ham"} for i in range(200)
    )
    assert "answers  ham 150, spam 50" in report_lines(check(Data(path=path.name), base=path.parent))
    values = [{"category": "a"} if i == 7 else {"category": "b", "priority": "low"} for i in range(200)]
    path = write_rows({"prompt": f"Text {i}", "completion": json.dumps(v)} for i, v in enumerate(values))
    lines = report_lines(check(Data(path=path.name), base=path.parent))
    assert "answers  category 200, priority 199 of 200" in lines
