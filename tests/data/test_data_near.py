"""Copies, near copies and leakage: found where they are, and not where rows are merely of one form."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.conftest import WriteRows
from tui_ft.data.check import check
from tui_ft.data.near import hashed, plain, shared
from tui_ft.data.rows import DatasetReport, Finding
from tui_ft.recipe import Data

LIKE = {
    "duplicates", "copies", "near-duplicates", "conflicting-answers", "leakage", "near-leakage",
    "split-siblings",
}  # fmt: skip
WORDS = [
    f"{a}{b}{c}"
    for a in ("ba", "co", "du", "fe", "gi", "ho")
    for b in "lmnrst"
    for c in ("an", "or", "ex", "ip")
]


def run(path: Path, **more: Any) -> DatasetReport:
    return check(Data(path=path.name, **more), base=path.parent)


def alike(report: DatasetReport) -> dict[str, Finding]:
    return {finding.id: finding for finding in report.findings if finding.id in LIKE}


def prose(seed: int, words: int = 60) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def different(number: int, first: int = 0) -> list[dict[str, str]]:
    return [{"prompt": f"{prose(i, 30)}?", "completion": prose(-i - 1)} for i in range(first, first + number)]


def places(finding: Finding) -> list[tuple[int, str]]:
    return [(example.line, example.excerpt) for example in finding.examples]


def test_different_rows_are_not_alike(write_rows: WriteRows) -> None:
    assert alike(run(write_rows(different(300)))) == {}


def test_a_copy_in_another_case_and_with_other_punctuation(write_rows: WriteRows) -> None:
    rows = different(250)
    again = {"prompt": rows[3]["prompt"].upper() + "?!", "completion": f"  {rows[3]['completion']}.\n"}
    found = alike(run(write_rows([*rows, again]), validation=0, test=0))
    assert found.keys() == {"copies"}
    assert places(found["copies"]) == [(251, "as rows.jsonl:4")]


@pytest.mark.parametrize(
    ("one", "other"),
    [("What is 1.5 plus 2?", "What is 15 plus 2?"), ("Is C++ old?", "Is C old?"), ("a < b", "a > b")],
)
def test_signs_that_mean_something_tell_rows_apart(write_rows: WriteRows, one: str, other: str) -> None:
    rows = [*different(250), *({"prompt": asked, "completion": "Yes, it is."} for asked in (one, other))]
    assert alike(run(write_rows(rows))) == {}


def test_a_row_with_a_few_words_changed_is_near(write_rows: WriteRows) -> None:
    rows = different(250)
    near = [
        {
            "prompt": f"Hello, {rows[i]['prompt']}",
            "completion": rows[i]["completion"].replace(" ", " well ", 1),
        }
        for i in (7, 90)
    ]
    found = alike(run(write_rows([*rows, *near]), validation=0, test=0))
    assert found.keys() == {"near-duplicates"}
    assert places(found["near-duplicates"]) == [
        (251, "nearly as rows.jsonl:8"),
        (252, "nearly as rows.jsonl:91"),
    ]


def _translation(i: int) -> dict[str, str]:
    word, other = WORDS[i % len(WORDS)], WORDS[(i * 7 + 3) % len(WORDS)]
    return {
        "prompt": f"Translate the following English word to French, and answer with the word only: {word}{i}",
        "completion": f"{other}{i}",
    }


def _ticket(i: int) -> dict[str, str]:
    instruction = "You sort tickets of our shop. Choose one of billing, shipping, returns or other. " * 4
    return {
        "prompt": f"{instruction} Ticket: {prose(i, 25)}",
        "completion": ("billing", "shipping", "other")[i % 3],
    }


def _report(i: int) -> dict[str, str]:
    return {
        "prompt": f"Write the daily report for machine {i}.",
        "completion": f"Machine {i} ran for {i * 3 % 24} hours and made {i * 37} parts. No fault was seen by "
        f"the operator on duty, {WORDS[i % 90]}. Next service is due in {i * 11 % 300} days. Please sign.",
    }


@pytest.mark.parametrize("made", [_translation, _ticket, _report])
@pytest.mark.parametrize("others", [0, 2000])
def test_two_hundred_rows_of_one_form_are_not_alike(write_rows: WriteRows, made: Any, others: int) -> None:
    rows = [*different(others), *(made(i) for i in range(200))]
    assert alike(run(write_rows(rows))) == {}


def test_near_copies_within_one_form_are_found(write_rows: WriteRows) -> None:
    rows = [_ticket(i) for i in range(200)]
    near = {"prompt": f"{rows[5]['prompt']} Thanks.", "completion": rows[5]["completion"]}
    found = alike(run(write_rows([*rows, near]), validation=0, test=0))
    assert found.keys() == {"near-duplicates"}
    assert places(found["near-duplicates"]) == [(201, "nearly as rows.jsonl:6")]


def test_near_leakage_across_files(write_rows: WriteRows) -> None:
    rows = different(250)
    write_rows([{"prompt": f"Hello, {rows[9]['prompt']}", "completion": rows[9]["completion"]}], "test.jsonl")
    found = alike(run(write_rows(rows), test_path="test.jsonl", validation=0))
    assert found.keys() == {"near-leakage"}
    assert places(found["near-leakage"]) == [(10, "nearly as test.jsonl:1")]


def test_siblings_on_both_sides_are_told_and_kept_together(write_rows: WriteRows) -> None:
    rows = different(200)
    near = [{"prompt": f"Hello, {row['prompt']}", "completion": row["completion"]} for row in rows]
    path = write_rows([*rows, *near])
    apart = alike(run(path))
    assert apart.keys() == {"near-duplicates", "split-siblings"}
    assert apart["near-duplicates"].count == 200
    # A fifth is held out, and its sibling is mostly not.
    assert 40 <= apart["split-siblings"].count <= 90
    together = run(path, group_by="near")
    assert alike(together).keys() == {"near-duplicates"}
    assert together.sizes.train % 2 == together.sizes.validation % 2 == together.sizes.test % 2 == 0


def test_languages_without_blanks(write_rows: WriteRows) -> None:
    signs = [chr(0x4E00 + i * 37) for i in range(400)]
    rows = [
        {"prompt": "".join(random.Random(i).choices(signs, k=40)), "completion": "好"} for i in range(250)
    ]
    near = {"prompt": rows[4]["prompt"] + "吗", "completion": "好"}
    found = alike(run(write_rows([*rows, near]), validation=0, test=0))
    assert places(found["near-duplicates"]) == [(251, "nearly as rows.jsonl:5")]


@given(st.lists(st.text("ab é日,-. \n", max_size=30), max_size=8))
def test_equal_words_and_only_they_have_equal_hashes(texts: list[str]) -> None:
    told = [plain(text) for text in texts]
    words = [word for text in told for word in text.split()]
    hashes, numbers = hashed(told)
    assert numbers.tolist() == [len(text.split()) for text in told]
    assert len(hashes) == len(words)
    assert len(set(zip(words, hashes.tolist(), strict=True))) == len(set(words)) == len(set(hashes.tolist()))


def test_words_of_long_texts_are_hashed_alike() -> None:
    told = [f"w{i}".encode() for i in range(30_000)]
    alone, _ = hashed(told)
    together, numbers = hashed([b" ".join(told), b"y" * 200_000, b"z"])
    assert numbers[0] == 30_000
    assert numbers[2] == 1
    assert (together[:30_000] == alone).all()


@given(st.lists(st.integers(0, 30)))
def test_keys_that_come_again_are_seen(keys: list[int]) -> None:
    seen = set(shared(np.array(keys, np.uint64)).tolist())
    assert {i for i, key in enumerate(keys) if keys.count(key) > 1} <= seen
