"""What a run trains on: token ids and labels on disk, nothing lost without a word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from tests.data.conftest import WriteRows
from tests.data.samples import pairs
from tui_ft.data.check import check, to_json
from tui_ft.data.prepare import Prepared, load, prepare
from tui_ft.data.split import SIDES
from tui_ft.data.windows import windows
from tui_ft.errors import EnvironmentProblem, InputError
from tui_ft.files import sha256
from tui_ft.models.tokenizer import ChatTokenizer
from tui_ft.recipe import Data


def run(path: Path, tokenizer: ChatTokenizer, seq_len: int = 512, **more: Any) -> Prepared:
    folder = path.parent / "run" / "data"
    data = Data(path=path.name, **more)
    return prepare(data, base=path.parent, folder=folder, tokenizer=tokenizer, seq_len=seq_len)


def rows_of(prepared: Prepared) -> dict[str, list[dict[str, Any]]]:
    return {side: parquet.read_table(prepared.path(side)).to_pylist() for side in SIDES}


def test_every_row_is_somewhere_with_its_labels(write_rows: WriteRows, chatml: ChatTokenizer) -> None:
    path = write_rows(pairs(300))
    prepared = run(path, chatml)
    stored = rows_of(prepared)
    assert {side: len(rows) for side, rows in stored.items()} == prepared.rows
    assert sum(prepared.rows.values()) == 300
    assert prepared.rows["validation"] > 0
    assert prepared.rows["test"] > 0
    everything = [row for rows in stored.values() for row in rows]
    assert sorted(row["line"] for row in everything) == list(range(1, 301))
    assert len({row["row_id"] for row in everything}) == 300
    for row in everything[:20]:
        learned = [token for token in row["labels"] if token != -100]
        assert all(
            label in (-100, token) for label, token in zip(row["labels"], row["input_ids"], strict=True)
        )
        messages = json.loads(row["messages"])
        assert chatml.decode(learned) == messages[-1]["content"] + "<|im_end|>"
        assert row["file"] == "rows.jsonl"
    for side, rows in stored.items():
        assert sum(len(row["input_ids"]) for row in rows) == prepared.tokens[side]
        assert sum(label != -100 for row in rows for label in row["labels"]) == prepared.learned[side]
    source = {"path": "rows.jsonl", "part": "main", "bytes": path.stat().st_size, "sha256": sha256(path)}
    assert prepared.sources == (source,)


def test_the_same_recipe_prepares_the_same_bytes(write_rows: WriteRows, chatml: ChatTokenizer) -> None:
    path = write_rows(pairs(300))
    first = {side: sha256(run(path, chatml).path(side)) for side in SIDES}
    assert {side: sha256(run(path, chatml).path(side)) for side in SIDES} == first


def test_what_was_prepared_is_found_again(write_rows: WriteRows, chatml: ChatTokenizer) -> None:
    prepared = run(write_rows(pairs(300)), chatml)
    assert load(prepared.folder) == prepared
    assert sorted(path.name for path in prepared.folder.iterdir()) == [
        "dropped.jsonl", "splits.json", "test.parquet", "train.parquet", "validation.parquet"
    ]  # fmt: skip
    assert load(prepared.folder / "elsewhere") is None


def test_cut_answers_stop_until_accepted(write_rows: WriteRows, chatml: ChatTokenizer) -> None:
    rows = pairs(250)
    for row in rows[:20]:
        row["completion"] *= 6
    rows[30]["prompt"] *= 12
    path = write_rows(rows)
    with pytest.raises(InputError) as caught:
        run(path, chatml, 128)
    assert "part of the answer is cut off at 128 tokens" in caught.value.what
    assert caught.value.fix.endswith('Or accept it: ignore = ["answer-cut"].')
    folder = path.parent / "run" / "data"
    assert load(folder) is None
    assert not list(folder.glob("*.parquet*"))
    assert not list(folder.glob(".*.part"))

    prepared = run(path, chatml, 128, ignore=["answer-cut"])
    assert prepared.dropped == {"prompt-too-long": 1}
    dropped = [json.loads(line) for line in (folder / "dropped.jsonl").read_text().splitlines()]
    assert dropped == [{"file": "rows.jsonl", "line": 31, "part": "main", "reason": "prompt-too-long"}]
    assert max(len(row["input_ids"]) for rows in rows_of(prepared).values() for row in rows) == 128
    assert all(any(x != -100 for x in row["labels"]) for rows in rows_of(prepared).values() for row in rows)
    assert prepared.report["usable_rows"] == sum(prepared.rows.values()) == 249


def test_rows_left_out_are_listed_with_their_reason(tmp_path: Path, chatml: ChatTokenizer) -> None:
    lines = [json.dumps(row) for row in pairs(250)]
    lines[3:3] = ["{broken", json.dumps({"prompt": "Hi", "completion": ""})]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    prepared = run(tmp_path / "rows.jsonl", chatml, ignore=["unparseable", "empty-answer"], max_rows=240)
    assert prepared.dropped == {"unparseable": 1, "empty-answer": 1, "max_rows": 10}
    assert sum(prepared.rows.values()) == 240


def test_files_of_ones_own_and_general_data(write_rows: WriteRows, chatml: ChatTokenizer) -> None:
    rows = pairs(330)
    write_rows(rows[300:310], "valid.jsonl")
    write_rows(rows[310:320], "test.jsonl")
    write_rows(rows[320:], "general.jsonl")
    prepared = run(
        write_rows(rows[:300]),
        chatml,
        validation_path="valid.jsonl",
        test_path="test.jsonl",
        mix=["general.jsonl"],
        system="Be terse.",
    )
    stored = rows_of(prepared)
    assert prepared.rows == {"train": 310, "validation": 10, "test": 10}
    assert {row["file"] for row in stored["test"]} == {"test.jsonl"}
    assert {row["file"] for row in stored["train"]} == {"rows.jsonl", "general.jsonl"}
    with_system = {row["file"] for rows in stored.values() for row in rows if "Be terse." in row["messages"]}
    assert with_system == {"rows.jsonl", "valid.jsonl", "test.jsonl"}
    assert [source["part"] for source in prepared.sources] == ["validation", "test", "main", "mix"]


def test_the_split_is_the_one_the_check_reported(write_rows: WriteRows, chatml: ChatTokenizer) -> None:
    path = write_rows(pairs(60))
    prepared = run(path, chatml)
    assert dict(prepared.rows) == prepared.report["sizes"]


def test_plain_text_and_all_tokens(tmp_path: Path, base_model: ChatTokenizer) -> None:
    rows = [{"text": f"Document {i} about the invoice."} for i in range(60)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    prepared = run(tmp_path / "rows.jsonl", base_model)
    row = rows_of(prepared)["train"][0]
    assert row["messages"] == "[]"
    assert row["labels"] == [-100, *row["input_ids"][1:]]


def test_loss_on_all_tokens(write_rows: WriteRows, chatml: ChatTokenizer, tmp_path: Path) -> None:
    path = write_rows(pairs(60))
    prepared = prepare(
        Data(path=path.name),
        base=tmp_path,
        folder=tmp_path / "run",
        tokenizer=chatml,
        seq_len=256,
        loss_on="all",
    )
    assert prepared.learned == prepared.tokens
    assert prepared.loss_on == "all"


def test_nothing_to_train_on_is_told(write_rows: WriteRows, chatml: ChatTokenizer) -> None:
    path = write_rows([{"prompt": "Hi", "completion": ""}] * 60)
    with pytest.raises(InputError, match="no row is left to train on"):
        run(path, chatml, ignore=["empty-answer", "too-few-rows"])


def test_a_folder_that_cannot_be_written_is_told(write_rows: WriteRows, chatml: ChatTokenizer) -> None:
    path = write_rows(pairs(60))
    (path.parent / "run").write_text("a file stands in the way")
    with pytest.raises(EnvironmentProblem):
        run(path, chatml)


def test_long_texts_are_learned_in_pieces(tmp_path: Path, base_model: ChatTokenizer) -> None:
    rows = [
        {"text": f"Document {i}. " + "The invoice is wrong and the printer does not answer. " * (i % 9)}
        for i in range(60)
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    whole = run(path, base_model, 4096, ignore=["repeated-text"])
    long = {row["row_id"]: row["input_ids"] for rows in rows_of(whole).values() for row in rows}
    pieces = run(path, base_model, 64, ignore=["repeated-text"])
    joined: dict[str, list[int]] = {}
    for row in (row for rows in rows_of(pieces).values() for row in rows):
        assert len(row["input_ids"]) <= 64
        assert row["window"] == 0 or row["labels"][0] == -100
        so_far = joined.setdefault(row["row_id"], [])
        assert so_far[-1:] == (row["input_ids"][:1] if row["window"] else [])
        so_far += row["input_ids"][bool(row["window"]) :]
    assert joined == long
    assert pieces.learned == whole.learned
    assert sum(pieces.rows.values()) > 60
    assert pieces.dropped == {}
    windowed = [found for found in pieces.report["findings"] if found["id"] == "windowed"]
    assert windowed[0]["severity"] == "info"
    assert windowed[0]["count"] == sum(len(ids) > 64 for ids in long.values())


@given(st.integers(1, 200), st.integers(2, 40))
def test_no_token_is_lost_between_pieces(length: int, limit: int) -> None:
    found = list(windows(range(length), [True] * length, limit))
    assert [i for ids, trained in found for i, on in zip(ids, trained, strict=True) if on] == list(
        range(length)
    )
    assert all(len(ids) <= limit for ids, _ in found)


def _tickets(number: int) -> list[dict[str, Any]]:
    return [
        {
            **row,
            "customer": f"c{i % 41}",
            "category": "usual" if i % 10 else "rare",
            "date": f"2026-{1 + i % 12:02}-01",
        }
        for i, row in enumerate(pairs(number))
    ]


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"stratify": "category"},
        {"group_by": "customer"},
        {"group_by": "near"},
        {"split_by_time": "date"},
        {"stratify": "category", "group_by": "customer", "max_rows": 250},
        {"max_held_out": 12, "mix": ["general.jsonl"], "mix_share": 0.15},
    ],
)
def test_check_and_run_agree_on_every_side(
    write_rows: WriteRows, chatml: ChatTokenizer, how: dict[str, Any]
) -> None:
    write_rows(
        [{"prompt": f"Tell {i}", "completion": f"It is {i * i}."} for i in range(200)], "general.jsonl"
    )
    path = write_rows(_tickets(300))
    prepared = run(path, chatml, **how)
    report = check(Data(path=path.name, **how), base=path.parent)
    assert dict(prepared.rows) == to_json(report)["sizes"] == prepared.report["sizes"]
    assert to_json(report)["labels"] == prepared.report["labels"]
    stored, tickets = rows_of(prepared), _tickets(300)
    mine = {
        s: [tickets[r["line"] - 1] for r in rows if r["file"] == "rows.jsonl"] for s, rows in stored.items()
    }
    assert all(mine.values())
    if how.get("group_by") == "customer":
        groups = [{row["customer"] for row in rows} for rows in mine.values()]
        assert sum(map(len, groups)) == len(set().union(*groups))
    elif "stratify" in how:
        assert {s: sum(row["category"] == "rare" for row in rows) for s, rows in mine.items()} == {
            "train": 24, "validation": 3, "test": 3
        }  # fmt: skip
        assert report.labels["rare"] == {"train": 24, "validation": 3, "test": 3}
    if "split_by_time" in how:
        assert max(row["date"] for row in mine["train"]) < min(row["date"] for row in mine["validation"])
        assert max(row["date"] for row in mine["validation"]) < min(row["date"] for row in mine["test"])
    if "mix" in how:
        assert (len(mine["validation"]), len(mine["test"])) == (12, 12)
        mixed = len(stored["train"]) - len(mine["train"])
        assert mixed / len(stored["train"]) == pytest.approx(0.15, abs=0.005)
        assert prepared.dropped == {"mix_share": 200 - mixed}


def test_rows_without_a_time_a_group_or_a_label_are_found(write_rows: WriteRows) -> None:
    rows = _tickets(300)
    rows[4]["date"], rows[5]["customer"], rows[6]["category"] = "soon", None, " "
    path = write_rows(rows)
    for how, finding, line in (
        ({"split_by_time": "date"}, "time-unreadable", 5),
        ({"group_by": "customer"}, "group-missing", 6),
        ({"stratify": "category"}, "label-missing", 7),
    ):
        report = check(Data(path=path.name, **how), base=path.parent)
        found = {found.id: found for found in report.findings}[finding]
        assert (found.count, found.examples[0].line) == (1, line)
