"""Building, saving, reading and printing a report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tui_ft.errors import InputError
from tui_ft.evaluation import report
from tui_ft.evaluation.metrics import Choice
from tui_ft.evaluation.report import Answer, Compared, EvalReport, Setting, build, load, save, table

SETTING = Setting("test", 40, 64, "bf16", "a processor", ("Mind the gap.",))
CHOICE = Choice("json", ("json_valid", "exact_match", "stopped", "loss"), "exact_match", "They are JSON.")


def compared(number: int, *, loss: float | None = 4.0) -> Compared:
    reference = json.dumps({"n": number})
    return Compared(
        row_id=f"r{number}",
        file="data.jsonl",
        line=number,
        prompt=f"ticket {number} \x1b[2J",
        reference=reference,
        answer_tokens=4,
        base=Answer(f"Sure, {number}", 64, False, None if loss is None else 2 * loss),
        tuned=Answer(reference, 5, True, loss),
    )


@pytest.fixture
def rows() -> list[Compared]:
    return [compared(number) for number in range(40)]


@pytest.fixture
def found(rows: list[Compared]) -> EvalReport:
    return build(rows, CHOICE, SETTING, samples=4, seconds={"base": 3.0, "tuned": 2.0})


def test_numbers(found: EvalReport) -> None:
    assert found.rows == 40
    assert found.base == {"json_valid": 0.0, "exact_match": 0.0, "stopped": 0.0, "loss": 2.0}
    assert found.tuned == {"json_valid": 1.0, "exact_match": 1.0, "stopped": 1.0, "loss": 1.0}
    assert found.difference["loss"].value == -1.0
    assert found.difference["loss"].better == "tuned"
    assert found.verdict == "clearly better"


def test_the_contract_keys_are_there(found: EvalReport) -> None:
    document = found.to_json()
    assert {"rows", "base", "tuned", "difference", "verdict"} <= document.keys()
    assert document["difference"]["exact_match"].keys() == {"value", "low", "high", "better"}


def test_samples_are_spread_not_picked(found: EvalReport) -> None:
    assert [sample.row_id for sample in found.samples] == ["r0", "r10", "r20", "r30"]
    assert found.samples[1].tuned_scores["exact_match"] == 1.0


def test_saved_and_read_again(tmp_path: Path, found: EvalReport, rows: list[Compared]) -> None:
    assert load(tmp_path) is None
    save(tmp_path, found, rows)
    assert load(tmp_path) == found
    lines = (tmp_path / report.ANSWERS).read_text().splitlines()
    assert len(lines) == 40
    assert json.loads(lines[7])["tuned"]["text"] == '{"n": 7}'


@pytest.mark.parametrize("text", ["", "[]", '{"rows": 1}', "null"])
def test_a_damaged_report_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / report.REPORT).write_text(text)
    with pytest.raises(InputError, match=r"report\.json"):
        load(tmp_path)


def test_the_table_is_harmless_and_fits(found: EvalReport) -> None:
    text = table(found, samples=True)
    assert "\x1b" not in text
    assert "exactly right *" in text
    assert "+100 (" in text
    assert "The tuned model is clearly better: exactly right 0 % → 100 % on 40 unseen rows." in " ".join(
        text.split()
    )
    assert "Note: Mind the gap." in text
    assert max(map(len, text.splitlines())) <= 80


def test_rows_without_a_loss_are_left_out_of_it() -> None:
    rows = [compared(number, loss=None if number % 2 else 4.0) for number in range(10)]
    found = build(rows, CHOICE, SETTING, seconds={})
    assert found.base["loss"] == 2.0
    assert found.rows == 10


def test_a_metric_without_any_value_is_left_out_or_named() -> None:
    rows = [compared(number, loss=None) for number in range(10)]
    assert "loss" not in build(rows, CHOICE, SETTING, seconds={}).difference
    with pytest.raises(ValueError, match="no row has a value for loss"):
        build(rows, Choice("none", ("loss",), "loss", ""), SETTING, seconds={})
