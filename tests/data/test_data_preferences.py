"""Pairs and verdicts: what is learned of them, and that nothing but the answer differs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pyarrow import parquet

from tests.data.conftest import WriteRows
from tests.data.samples import pairs
from tui_ft.data.check import check
from tui_ft.data.masks import Encoded, LossOn, encode, encode_rows, loss_of, prove
from tui_ft.data.prepare import Prepared, prepare
from tui_ft.data.preview import previews
from tui_ft.data.rows import DatasetReport, Message, Row, Unusable
from tui_ft.models.tokenizer import ChatTokenizer
from tui_ft.recipe import Data

TALK = (
    Message(role="user", content="What is 2 and 2?"),
    Message(role="assistant", content="Four."),
    Message(role="user", content="And 3 and 3?"),
)
PAIR = Row("a", "rows.jsonl", 1, TALK, chosen="Six.", rejected="I have no idea, sorry.")


def prepared(path: Path, tokenizer: ChatTokenizer, loss_on: LossOn, seq_len: int = 512) -> Prepared:
    return prepare(
        Data(path=path.name),
        base=path.parent,
        folder=path.parent / "run" / "data",
        tokenizer=tokenizer,
        seq_len=seq_len,
        loss_on=loss_on,
    )


def stored(found: Prepared) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parquet.read_table(found.path("train")).to_pylist()
    return rows


def checked(path: Path, loss_on: LossOn, tokenizer: ChatTokenizer | None = None) -> DatasetReport:
    return check(Data(path=path.name), base=path.parent, tokenizer=tokenizer, loss_on=loss_on)


def judged_pairs(number: int) -> list[dict[str, Any]]:
    return [
        {"prompt": row["prompt"], "chosen": row["completion"], "rejected": f"No, not {i}."}
        for i, row in enumerate(pairs(number))
    ]


def verdicts(number: int) -> list[dict[str, Any]]:
    return [{**row, "label": i % 3 != 0} for i, row in enumerate(pairs(number))]


def learned(encoded: Encoded, tokenizer: ChatTokenizer) -> str:
    return tokenizer.decode([i for i, on in zip(encoded.ids, encoded.trained, strict=True) if on])


def test_what_is_learned_goes_by_the_objective() -> None:
    assert [loss_of(name) for name in ("sft", "cpt", "dpo", "orpo", "kto")] == [
        "answers", "all", "pairs", "pairs", "verdicts",
    ]  # fmt: skip
    assert loss_of("sft", "all") == "all"


def test_only_the_judged_answer_of_a_conversation_is_learned(chatml: ChatTokenizer) -> None:
    encoded = encode(PAIR, chatml, loss_on="pairs")
    assert encoded.rejected is not None
    assert learned(encoded, chatml) == "Six.<|im_end|>"
    assert learned(encoded.rejected, chatml) == "I have no idea, sorry.<|im_end|>"
    shared = encoded.prompt_length
    assert encoded.ids[:shared] == encoded.rejected.ids[: encoded.rejected.prompt_length]
    assert prove(encoded, PAIR, chatml) == ()
    assert prove(encoded.rejected, PAIR, chatml) == ()
    assert encode(PAIR, chatml).runs[-1] == encoded.runs[0]


def test_rows_encoded_together_are_those_encoded_alone(chatml: ChatTokenizer) -> None:
    lonely = replace(
        PAIR, chosen=None, rejected=None, messages=(*TALK, Message(role="assistant", content="6"))
    )
    first, refused, last = encode_rows([PAIR, lonely, PAIR], chatml, loss_on="pairs")
    assert first == last == encode(PAIR, chatml, loss_on="pairs")
    assert isinstance(refused, Unusable)
    assert refused.what == "is no pair of a chosen and a rejected answer"


def test_pairs_are_stored_side_by_side(write_rows: WriteRows, chatml: ChatTokenizer) -> None:
    rows = judged_pairs(300)
    found = prepared(write_rows(rows), chatml, "pairs")
    for row in stored(found):
        told = rows[row["line"] - 1]
        for ids, labels, said in (
            (row["input_ids"], row["labels"], told["chosen"]),
            (row["rejected_ids"], row["rejected_labels"], told["rejected"]),
        ):
            assert chatml.decode([label for label in labels if label != -100]) == f"{said}<|im_end|>"
            assert all(label in (-100, token) for token, label in zip(ids, labels, strict=True))
    assert "good" not in stored(found)[0]


def test_a_pair_is_as_long_as_its_longer_answer(write_rows: WriteRows, chatml: ChatTokenizer) -> None:
    rows = judged_pairs(250)
    rows[7]["rejected"] = "word " * 100
    path = write_rows(rows)
    report = checked(path, "pairs", chatml)
    assert report.lengths
    *_, second, longest = sorted(report.lengths.lengths)
    assert longest > second + 100
    found = check(Data(path=path.name), base=path.parent, tokenizer=chatml, seq_len=second, loss_on="pairs")
    assert [f.count for f in found.findings if f.id == "answer-cut"] == [1]


def test_good_and_bad_answers_are_both_stored(write_rows: WriteRows, chatml: ChatTokenizer) -> None:
    rows = verdicts(300)
    found = prepared(write_rows(rows), chatml, "verdicts")
    assert sum(found.rows.values()) == 300
    for row in stored(found):
        assert row["good"] is rows[row["line"] - 1]["label"]


def test_findings_say_what_the_objective_learns(write_rows: WriteRows) -> None:
    pair_file, verdict_file = (
        write_rows(judged_pairs(250), "pairs.jsonl"),
        write_rows(verdicts(250), "v.jsonl"),
    )
    assert [f.id for f in checked(pair_file, "pairs").findings] == []
    (plain,) = checked(pair_file, "answers").findings
    assert (plain.id, plain.severity) == ("pairs", "info")
    assert [f.id for f in checked(verdict_file, "verdicts").findings] == []
    assert checked(verdict_file, "verdicts").usable_rows == 250


def test_verdicts_of_one_kind_block(write_rows: WriteRows) -> None:
    report = checked(write_rows([{**row, "label": True} for row in pairs(250)]), "verdicts")
    (found,) = [f for f in report.findings if f.id == "one-verdict"]
    assert found.blocks
    assert found.what == "All answers are marked as good."


def test_a_preview_shows_what_is_compared(write_rows: WriteRows, chatml: ChatTokenizer) -> None:
    path = write_rows(judged_pairs(60))
    settings: dict[str, Any] = {"base": path.parent, "tokenizer": chatml}
    (shown,) = previews(Data(path=path.name), loss_on="pairs", **settings)
    assert shown.note == "Preferred to: No, not 0."
    path = write_rows(verdicts(60))
    good_and_bad = previews(Data(path=path.name), loss_on="verdicts", count=2, **settings)
    assert [one.note.partition(":")[0] for one in good_and_bad] == ["Marked as bad", "Marked as good"]
