"""A fixed copy: what is safe is done and told, the original stays, a second run has nothing to do."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.conftest import WriteRows
from tests.data.samples import pairs
from tui_ft.data.check import check
from tui_ft.data.edits import TEXT_EDITS, edit_texts, merge_turns, trimmed
from tui_ft.data.fix import apply_fixes, log_path, plan_fixes
from tui_ft.data.fixes import FIXES, FixReport, Offer, accepted_fixes, diff, visible
from tui_ft.data.rows import ColumnMapping
from tui_ft.errors import InputError
from tui_ft.files import sha256
from tui_ft.models.tokenizer import ChatTokenizer
from tui_ft.recipe import Data

EMPTY = {"prompt": "Is it open?", "completion": " "}
BELL = {"prompt": "What rings?", "completion": "A \x07bell rings, \x1b[31mred\x1b[0m.\n"}
CAFE = {"prompt": "Where to?", "completion": "Into the cafÃ© on the corner."}
KEYS = {"prompt": "The key?", "completion": "It is hf_qZ7fK2mWxRtLb4VnYcHdJs3PgUe6TaoBiM, hush."}
SORRY = {"prompt": "Rob a bank?", "completion": "I'm sorry, but I cannot help with that request."}


def fix(path: Path, out: str = "out.jsonl", **more: Any) -> FixReport:
    data = {key: more.pop(key) for key in ("ignore", "test_path", "validation_path") if key in more}
    return apply_fixes(Data(path=path.name, **data), path.parent / out, base=path.parent, **more)


def rows_of(path: Path | None) -> list[dict[str, Any]]:
    assert path is not None
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def offers(report: FixReport) -> dict[str, Offer]:
    return {offer.id: offer for offer in report.offers}


def test_safe_fixes_are_applied_and_told(tmp_path: Path) -> None:
    good = pairs(3)
    lines = [json.dumps(row) for row in (good[0], EMPTY, BELL, CAFE, good[0], good[1], good[2])]
    lines.insert(1, '{"prompt": "Hi", "completion"')
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    before = sha256(path)

    report = fix(path)

    assert sha256(path) == before
    kept = rows_of(report.out)
    assert [row["completion"] for row in kept] == [
        good[0]["completion"],
        "A bell rings, red.",
        "Into the café on the corner.",
        good[1]["completion"],
        good[2]["completion"],
    ]
    assert (report.rows, report.kept, report.changed, report.dropped) == (8, 5, 2, 3)
    found = {offer.id: (offer.count, offer.applied) for offer in report.offers}
    assert found == {
        "unparseable": (1, True),
        "empty-answer": (1, True),
        "mojibake": (1, True),
        "control-characters": (1, True),
        "outer-whitespace": (1, True),
        "duplicates": (1, True),
    }
    log = rows_of(report.log)
    assert [(line["line"], line["action"], line["reason"], line["field"]) for line in log] == [
        (2, "dropped", "unparseable", ""),
        (3, "dropped", "empty-answer", ""),
        (4, "changed", "control-characters", "completion"),
        (4, "changed", "outer-whitespace", "completion"),
        (5, "changed", "mojibake", "completion"),
        (6, "dropped", "duplicates", ""),
    ]
    assert {line["file"] for line in log} == {"rows.jsonl"}
    assert log[0]["id"] is None
    assert len(log[2]["id"]) == 16


def test_examples_show_before_and_after_harmlessly(write_rows: WriteRows) -> None:
    bells = [*({**BELL, "prompt": f"What rings {i} times?"} for i in range(5)), EMPTY]
    found = offers(plan_fixes(Data(path="rows.jsonl"), base=write_rows(bells).parent))
    first = found["control-characters"].examples[0]
    assert (first.line, first.field) == (1, "completion")
    assert first.before == "A \\x07bell rings, \\x1b[31mred\\x1b[0m.\\n"
    assert first.after == "A bell rings, red.\\n"
    assert len(found["control-characters"].examples) == 3
    assert found["empty-answer"].examples[0].after is None


def test_a_plan_writes_nothing(write_rows: WriteRows) -> None:
    path = write_rows([BELL, EMPTY])
    report = plan_fixes(Data(path=path.name), base=path.parent)
    assert (report.out, report.log) == (None, None)
    assert [p.name for p in path.parent.iterdir()] == ["rows.jsonl"]
    applied = fix(path)
    assert (applied.offers, applied.kept, applied.changed) == (report.offers, report.kept, report.changed)


def test_unsafe_fixes_wait_for_a_yes(write_rows: WriteRows) -> None:
    path = write_rows([*pairs(3), KEYS, SORRY, {"prompt": "Where to?", "completion": "Home."}, CAFE])
    report = fix(path)
    waiting = {offer.id: offer.count for offer in report.waiting}
    assert waiting == {"secrets": 1, "refusals": 1, "conflicting-answers": 1}
    assert report.dropped == 0
    assert "hf_qZ7fK2mWxRt" in (report.out or path).read_text()
    shown = offers(report)["secrets"].examples[0]
    assert "K2mWxRtLb4Vn" not in str(shown)

    report = fix(path, yes=["secrets", "refusals"], force=True)
    assert {offer.id for offer in report.waiting} == {"conflicting-answers"}
    kept = rows_of(report.out)
    assert "hf_" not in kept[3]["completion"]
    assert len(kept) == 6

    assert fix(path, yes=["all"], force=True).waiting == ()


def test_findings_accepted_as_they_are_are_not_fixed(write_rows: WriteRows) -> None:
    report = fix(write_rows([BELL, EMPTY, *pairs(2)]), ignore=["control-characters", "empty-answer"])
    assert set(offers(report)) == {"outer-whitespace"}
    assert rows_of(report.out)[0]["completion"].startswith("A \x07bell")


def test_conversations_keep_their_form(write_rows: WriteRows) -> None:
    turns = [
        {"role": "Human", "content": " What is 2+2? "},
        {"role": "user", "content": [{"type": "text", "text": "Quick\u200bly."}], "weight": 1},
        {"role": "bot", "content": "4", "tool_calls": None},
    ]
    cell = json.dumps([{"from": "human", "value": "Hi\x07"}, {"from": "gpt", "value": "Hello"}])
    report = fix(write_rows([{"messages": turns, "id": 7}]))
    (row,) = rows_of(report.out)
    assert row["id"] == 7
    assert [turn["role"] for turn in row["messages"]] == ["user", "user", "assistant"]
    assert row["messages"][0]["content"] == "What is 2+2?"
    assert row["messages"][1] == {
        "role": "user",
        "content": [{"type": "text", "text": "Quickly."}],
        "weight": 1,
    }
    assert {line["field"] for line in rows_of(report.log)} == {
        "messages[0].role", "messages[2].role", "messages[0].content", "messages[1].content[0].text"
    }  # fmt: skip
    table = write_rows([], "t.csv")
    table.write_text('id,conversations\n1,"' + cell.replace('"', '""') + '"\n')
    (row,) = rows_of(fix(table, "t.jsonl").out)
    assert isinstance(row["conversations"], str)
    assert json.loads(row["conversations"])[0] == {"from": "human", "value": "Hi"}


def test_turns_of_one_role_are_joined_after_a_yes(write_rows: WriteRows) -> None:
    turns = [("user", "Hello."), ("user", "Are you there?"), ("assistant", "Yes.")]
    path = write_rows([{"messages": [{"role": role, "content": text} for role, text in turns]}])
    waiting = offers(fix(path))
    assert set(waiting) == {"role-order", "unusable"}
    report = fix(path, yes=["role-order"], force=True)
    assert rows_of(report.out)[0]["messages"][0]["content"] == "Hello.\n\nAre you there?"
    assert set(offers(report)) == {"role-order"}
    mapping = ColumnMapping("messages", {"messages": "messages"}, confident=True)
    calls = [{"role": "assistant", "content": "a", "tool_calls": []}, {"role": "assistant", "content": "b"}]
    assert merge_turns({"messages": calls}, mapping)[1] == []


def test_rows_held_out_and_rows_that_are_cut(write_rows: WriteRows, chatml: ChatTokenizer) -> None:
    rows = pairs(6)
    write_rows([{**rows[2], "prompt": rows[2]["prompt"].upper()}], "test.jsonl")
    rows[4]["completion"] *= 20
    path = write_rows(rows)
    more: dict[str, Any] = {"test_path": "test.jsonl", "tokenizer": chatml, "seq_len": 128}
    report = fix(path, **more)
    assert {offer.id: offer.count for offer in report.waiting} == {"leakage": 1, "answer-cut": 1}
    report = fix(path, yes=["leakage", "answer-cut"], force=True, **more)
    assert [(line["line"], line["reason"]) for line in rows_of(report.log)] == [
        (3, "leakage"),
        (5, "answer-cut"),
    ]


def test_text_of_other_encodings_becomes_utf8(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"Wo ist Nummer {i}?", "completion": "Im Café hinter der Brücke, über den Fluß."}
        for i in range(9)
    ]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    for encoding, finding in (("utf-16", "other-encoding"), ("utf-8-sig", "byte-order-mark")):
        path = tmp_path / f"{encoding}.jsonl"
        path.write_bytes(text.encode(encoding))
        report = fix(path, f"{encoding}.out.jsonl")
        assert rows_of(report.out) == rows
        assert set(offers(report)) == {finding}
    path = tmp_path / "latin.jsonl"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"is a guess, by which this line reads: .*Café"):
        fix(path, "latin.out.jsonl")
    assert rows_of(fix(path, "latin.out.jsonl", yes=["guessed-encoding"]).out) == rows


def test_the_original_cannot_be_the_target(write_rows: WriteRows, tmp_path: Path) -> None:
    path = write_rows([BELL, *pairs(3)])
    before = sha256(path)
    (tmp_path / "soft.jsonl").symlink_to(path)
    (tmp_path / "hard.jsonl").hardlink_to(path)
    for out in ("rows.jsonl", "soft.jsonl", "hard.jsonl", "../" + tmp_path.name + "/rows.jsonl"):
        with pytest.raises(InputError, match="would overwrite the data"):
            fix(path, out, force=True)
    with pytest.raises(InputError, match="written as JSON lines"):
        fix(path, "out.csv")
    log_path(tmp_path / "out.jsonl").write_text("mine")
    with pytest.raises(InputError, match="this file exists"):
        fix(path, "out.jsonl")
    with pytest.raises(InputError, match="among the data"):
        apply_fixes(Data(path="shards"), _shards(tmp_path) / "c.jsonl", base=tmp_path)
    assert sha256(path) == before
    assert not (tmp_path / "out.jsonl").exists()


def _shards(folder: Path) -> Path:
    (folder / "shards").mkdir()
    (folder / "shards" / "a.jsonl").write_text(json.dumps(pairs(1)[0]) + "\n")
    return folder / "shards"


def test_a_failed_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyarrow import Table, parquet

    parquet.write_table(
        Table.from_pylist([{"prompt": "a", "completion": "b", "raw": b"\x00"}]), tmp_path / "x.parquet"
    )
    with pytest.raises(InputError, match="a value of the kind bytes"):
        fix(tmp_path / "x.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]


def test_unknown_fixes_are_named() -> None:
    with pytest.raises(InputError) as caught:
        accepted_fixes(["secret", "nonsense"])
    assert caught.value.fix == "Did you mean secrets?"
    assert accepted_fixes([], ["duplicates"]) == {fix.id for fix in FIXES.values() if fix.safe} - {
        "duplicates"
    }


def test_the_indentation_of_code_stays() -> None:
    assert trimmed("\n \n    return 1\n") == "    return 1"
    assert trimmed(" Paris. \n\n") == "Paris."
    assert trimmed("\tx = 1") == "\tx = 1"


def test_a_row_keeps_its_side_when_it_is_mended_and_when_others_go(write_rows: WriteRows) -> None:
    rows = pairs(400)
    for row in rows[::3]:
        row["completion"] = f"  {row['completion']}\x07 \n"
    for row in rows[::7]:
        row["completion"] = ""
    path = write_rows(rows)
    report = fix(path)
    assert report.changed > 80
    assert report.dropped > 50
    assert report.out is not None
    sides = {_question(row): side for row, side in _sides(path)}
    after = {_question(row): side for row, side in _sides(report.out)}
    assert len(after) == report.kept
    assert set(after.values()) == {"train", "validation", "test"}
    assert after == {question: sides[question] for question in after}


def _question(row: Mapping[str, Any]) -> str:
    return str(row["prompt"])


def _sides(path: Path) -> list[tuple[dict[str, Any], str | None]]:
    from tui_ft.data.sides import Ledger, side_of, traits_of_judged
    from tui_ft.data.stream import judge, open_inputs

    data = Data(path=path.name)
    judged = [j for j in judge(open_inputs(data, path.parent), data) if j.row]
    ledger = Ledger(data)
    for j in judged:
        assert j.row
        ledger.add(j.part, traits_of_judged(j, j.row))
    split = ledger.split()
    rows = rows_of(path)
    return [
        (rows[j.row.line - 1], side_of(j.part, traits_of_judged(j, j.row), split)) for j in judged if j.row
    ]


_PIECES = st.sampled_from(
    ["Hello ", "there", "&amp;", "&lt;br&gt;", "&#8203;", "&am\x07p;", "\x1b[31m", "\x00", "\u200b", "\ufeff"]
    + ["Ã©", "â€™", "caf", "hf_qZ7fK2mWxRtLb4VnYcHdJs3PgUe6TaoBiM", "a.person@gmail.com", " ", "\n", "  "]
    + ["html", "\udce9", "中文"]
)
_TEXTS = st.lists(_PIECES, max_size=6).map("".join)
# What counts as nearly the same depends on what all rows have in common, so it may change with them.
_BY_ALL_ROWS = {"copies", "near-duplicates"}
_TURNS = st.lists(
    st.tuples(
        st.sampled_from(["user", "human", "assistant", "Bot", "system", "function_call", "boss"]), _TEXTS
    ),
    max_size=4,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(_TURNS, min_size=1, max_size=6),
    yes=st.sampled_from(
        [[], ["secrets", "personal-data", "role-order"], sorted(FIXES.keys() - _BY_ALL_ROWS)]
    ),
)
def test_fixing_twice_changes_nothing(tmp_path: Path, rows: list[Any], yes: list[str]) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(
        "".join(json.dumps({"messages": [{"role": r, "content": t} for r, t in row]}) + "\n" for row in rows)
    )
    once = fix(path, yes=yes, force=True)
    assert once.out is not None
    if not once.kept:
        return
    twice = fix(once.out, "again.jsonl", yes=yes, force=True)
    assert twice.out is not None
    assert twice.out.read_bytes() == once.out.read_bytes()
    assert [offer for offer in twice.offers if offer.applied] == []
    assert rows_of(twice.log) == []


@given(_TEXTS)
def test_texts_come_to_rest(text: str) -> None:
    mapping = ColumnMapping("text", {"text": "text"}, confident=True)
    once, _ = edit_texts({"text": text}, mapping, TEXT_EDITS)
    assert edit_texts(once, mapping, TEXT_EDITS) == (once, [])


@given(st.text(max_size=80), st.text(max_size=80), st.booleans())
def test_what_is_shown_is_harmless(before: str, after: str, hides: bool) -> None:
    for shown in (*diff(before, after, hides=hides), visible(before)):
        assert shown is not None
        assert shown.isprintable()


def test_what_is_left_is_clean(write_rows: WriteRows) -> None:
    rows = [*pairs(300), EMPTY, BELL, CAFE, pairs(1)[0], KEYS]
    random.Random(1).shuffle(rows)
    path = write_rows(rows)
    report = fix(path, yes=["secrets"])
    assert report.out is not None
    left = check(Data(path="out.jsonl"), base=path.parent)
    assert {finding.id for finding in left.findings} == set()


def test_rows_much_alike_are_dropped_after_a_yes(write_rows: WriteRows) -> None:
    rows = pairs(60)
    letter = (
        "Dear team, the parcel that I ordered on the third of May has not arrived and nobody answers my calls"
    )
    rows[10] = {"prompt": letter + ".", "completion": "We are sorry about that, it will arrive tomorrow."}
    rows[20] = {
        "prompt": letter + " at all.",
        "completion": "We are sorry about that, it will arrive tomorrow.",
    }
    rows[30] = {**rows[5], "prompt": rows[5]["prompt"].upper()}
    path = write_rows(rows)
    report = fix(path)
    assert {offer.id: (offer.count, offer.applied) for offer in report.offers} == {
        "copies": (1, False),
        "near-duplicates": (1, False),
    }
    assert offers(report)["copies"].examples[0].before == "as rows.jsonl:6"
    assert report.kept == 60
    report = fix(path, yes=["near-duplicates"], force=True)
    assert [(line["line"], line["reason"]) for line in rows_of(report.log)] == [(21, "near-duplicates")]
    assert {offer.id: offer.applied for offer in report.offers} == {"copies": False, "near-duplicates": True}
    report = fix(path, yes=["copies", "near-duplicates"], force=True)
    assert (report.kept, report.waiting) == (58, ())


@pytest.mark.parametrize(
    ("damaged", "mended"),
    [
        ("in her possession all along â\x80\x94 and", "in her possession all along — and"),
        ("CafÃ\x89 and ð\x9f\x98\x80", "CafÉ and 😀"),
        (r"so \(" + "\x0crac{1}{2}" + r"\) of it", r"so \(\frac{1}{2}\) of it"),
        ("\x08egin{x} \x08 page\x0cbreak", r"\begin{x}  pagebreak"),
    ],
)
def test_damage_is_mended_rather_than_removed(damaged: str, mended: str) -> None:
    mapping = ColumnMapping("text", {"text": "text"}, confident=True)
    assert edit_texts({"text": damaged}, mapping, TEXT_EDITS)[0] == {"text": mended}
