"""The report: each finding on a file made for it, and on no clean one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.conftest import WriteRows
from tests.data.samples import pairs, write_tokenizer
from tui_ft.data.catalog import CATALOG
from tui_ft.data.check import Progress, check, exit_code, to_json
from tui_ft.data.rows import DatasetReport, Finding
from tui_ft.errors import ExitCode, InputError
from tui_ft.models.tokenizer import ChatTokenizer
from tui_ft.recipe import Data

USER, ANSWER = {"role": "user", "content": "Hi there"}, {"role": "assistant", "content": "Hello to you"}
LONG = "A full sentence of some length that says what has to be said. "


def found(report: DatasetReport, finding: str) -> Finding:
    return next(seen for seen in report.findings if seen.id == finding)


def ids(report: DatasetReport) -> set[str]:
    return {finding.id for finding in report.findings}


def run(
    path: Path, tokenizer: ChatTokenizer | None = None, seq_len: int | None = None, **more: Any
) -> DatasetReport:
    return check(Data(path=path.name, **more), base=path.parent, tokenizer=tokenizer, seq_len=seq_len)


def test_a_clean_file_has_no_findings(write_rows: WriteRows, chatml: ChatTokenizer) -> None:
    report = run(write_rows(pairs(300)), chatml, 512)
    assert report.findings == ()
    assert (report.rows, report.usable_rows, report.mapping.shape) == (300, 300, "prompt-completion")
    assert report.sizes.train + report.sizes.validation + report.sizes.test == 300
    assert report.answers_look_like == "short"
    assert report.columns == ("prompt", "completion")
    assert report.lengths is not None
    assert len(report.lengths.lengths) == 300
    assert 0 < report.lengths.answer_tokens < report.lengths.total_tokens
    assert exit_code(report) is ExitCode.DONE


def test_lengths_are_those_of_the_template(write_rows: WriteRows, chatml: ChatTokenizer) -> None:
    report = run(write_rows(pairs(60)), chatml)
    row = pairs(1)[0]
    turns = [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["completion"]}]
    assert report.lengths is not None
    assert report.lengths.lengths[0] == len(chatml.encode(chatml.render(turns))[0])


def test_template_like_rows_are_not_flagged(write_rows: WriteRows, chatml: ChatTokenizer) -> None:
    rows = [
        {
            "prompt": f"Ticket {i}: my invoice {i * 7} is wrong.",
            "completion": json.dumps({"category": "billing", "id": i}),
        }
        for i in range(200)
    ]
    report = run(write_rows(rows), chatml, 256)
    assert report.findings == ()
    assert report.answers_look_like == "json"


def test_labels_are_not_short_answers(write_rows: WriteRows) -> None:
    labels = ("billing", "technical", "no", "n/a")
    rows = [{"prompt": f"{LONG * 3} {i}", "completion": labels[i % 4]} for i in range(240)]
    report = run(write_rows(rows))
    assert report.answers_look_like == "label"
    assert report.findings == ()


@pytest.mark.parametrize(
    ("row", "finding", "severity"),
    [
        ({"prompt": "Hi", "completion": None}, "missing-field", "error"),
        ({"prompt": "Hi"}, "missing-field", "error"),
        ({"prompt": "Hi", "completion": "  "}, "empty-answer", "error"),
        ({"prompt": "", "completion": "Hello"}, "empty-prompt", "error"),
        ({"messages": [USER, ANSWER]}, "mixed-shapes", "error"),
        ({"prompt": [{"role": "alien", "content": "x"}], "completion": "Hello"}, "unknown-role", "error"),
        ({"prompt": "caf\ud83d", "completion": "Hello"}, "broken-unicode", "error"),
        ({"prompt": "Hi", "completion": "\x1b[31mred\x1b[0m as ever"}, "control-characters", "warning"),
        ({"prompt": "Hi", "completion": "use " + "hf_" + "a1B2" * 9 + " here"}, "secrets", "warning"),
        ({"prompt": "Hi", "completion": "-----BEGIN RSA PRIVATE KEY-----"}, "secrets", "warning"),
        ({"prompt": "stars?", "completion": 5}, "written-as-json", "info"),
        (pairs(1)[0], "duplicates", "warning"),
        ({**pairs(1)[0], "completion": "Something else entirely."}, "conflicting-answers", "warning"),
    ],
)
def test_one_bad_row_among_good_ones(
    write_rows: WriteRows, row: dict[str, Any], finding: str, severity: str
) -> None:
    report = run(write_rows([*pairs(250), row]))
    assert ids(report) == {finding}
    (only,) = report.findings
    assert (only.count, only.severity) == (1, severity)
    assert [(example.file, example.line) for example in only.examples] == [("rows.jsonl", 251)]
    assert report.blocked == (severity == "error")
    assert report.usable_rows == (250 if severity == "error" else 251)
    assert "\x1b" not in only.examples[0].excerpt
    assert "a1B2a1B2" not in only.examples[0].excerpt


@pytest.mark.parametrize(
    "text",
    [
        "sk-fading-circle-and-more-of-it",
        "task-management-software-for-everyone",
        "AKIAIOSFODNN7EXAMPLE",
        "hf_hub_download",
        "ask-me-anything-2024-ABCDEFGH",
        "line one\n\tline two\r\n",
        "naïve café — “quotes” 日本語 🙂",
    ],
)
def test_innocent_texts_are_not_flagged(write_rows: WriteRows, text: str) -> None:
    assert (
        run(write_rows([*pairs(250), {"prompt": "Hi", "completion": f"{text} is what it says."}])).findings
        == ()
    )


def test_an_ignored_finding_is_shown_and_does_not_block(write_rows: WriteRows) -> None:
    path = write_rows([*pairs(250), {"prompt": "Hi", "completion": ""}])
    report = run(path, ignore=["empty-answer"])
    assert found(report, "empty-answer").ignored
    assert not report.blocked
    with pytest.raises(InputError) as caught:
        run(path, ignore=["empty-anser"])
    assert caught.value.fix == "Did you mean empty-answer?"


def test_broken_lines_are_counted_and_block(tmp_path: Path) -> None:
    lines = [json.dumps(row) for row in pairs(250)]
    lines[9] = lines[9][:-5]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    report = run(tmp_path / "rows.jsonl")
    unparseable = found(report, "unparseable")
    assert unparseable.examples[0].line == 10
    assert unparseable.what == "1 row cannot be read."
    assert exit_code(report) is ExitCode.ANSWER_IS_NO


def test_no_more_than_five_examples(write_rows: WriteRows) -> None:
    report = run(write_rows([*pairs(250), *[{"prompt": f"{i}", "completion": ""} for i in range(9)]]))
    assert found(report, "empty-answer").count == 9
    assert [example.line for example in found(report, "empty-answer").examples] == [251, 252, 253, 254, 255]


@pytest.mark.parametrize(
    ("number", "finding", "severity"),
    [
        (10, "too-few-rows", "error"),
        (49, "too-few-rows", "error"),
        (50, "few-rows", "warning"),
        (199, "few-rows", "warning"),
    ],
)
def test_small_sets_are_told(write_rows: WriteRows, number: int, finding: str, severity: str) -> None:
    report = run(write_rows(pairs(number)))
    assert found(report, finding).severity == severity
    assert report.sizes.validation >= 1
    assert report.sizes.test >= 1


def test_large_sets_are_told(write_rows: WriteRows) -> None:
    assert found(run(write_rows(pairs(10_001))), "many-rows").severity == "info"


def test_unknown_columns_ask_for_a_mapping(write_rows: WriteRows) -> None:
    rows = [{"q": row["prompt"], "a": row["completion"]} for row in pairs(250)]
    path = write_rows(rows)
    report = run(path)
    assert report.mapping.shape == "unknown"
    assert report.usable_rows == 0
    assert found(report, "unknown-columns").what.endswith("The columns are: q, a.")
    assert report.columns == ("q", "a")
    mapped = run(path, columns={"prompt": "q", "completion": "a"})
    assert mapped.findings == ()
    assert mapped.usable_rows == 250


def test_a_guess_and_what_is_left_over_are_told(write_rows: WriteRows) -> None:
    rows = [{"query": row["prompt"], "reply": row["completion"], "crm_id": 1} for row in pairs(250)]
    report = run(write_rows(rows))
    assert found(report, "guessed-columns").what == (
        "The columns are taken by their names: query as prompt, reply as completion. This is a guess."
    )
    assert found(report, "unused-columns").what == "1 column not used: crm_id."
    assert not report.blocked


def test_a_guess_about_general_data_names_its_file(write_rows: WriteRows) -> None:
    write_rows([{"query": "Hi", "reply": f"Hello {i}"} for i in range(9)], "general.jsonl")
    report = run(write_rows(pairs(250)), mix=["general.jsonl"])
    assert found(report, "guessed-columns").what.startswith("In general.jsonl: The columns are taken")


def test_an_empty_list_has_too_few_rows(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text("[]")
    report = run(tmp_path / "rows.json")
    assert ids(report) == {"too-few-rows"}
    assert found(report, "too-few-rows").what == "There are 0 rows to learn from."


def test_leakage_across_given_files(write_rows: WriteRows) -> None:
    rows = pairs(260)
    write_rows([rows[3], rows[255]], "test.jsonl")
    write_rows([{**rows[7], "prompt": rows[7]["prompt"].upper() + "!!"}], "validation.jsonl")
    path = write_rows(rows[:250])
    report = run(path, test_path="test.jsonl", validation_path="validation.jsonl")
    leaked = found(report, "leakage")
    assert (leaked.severity, leaked.count) == ("error", 2)
    assert [(e.line, e.excerpt) for e in leaked.examples] == [
        (4, "as test.jsonl:1"),
        (8, "as validation.jsonl:1"),
    ]
    assert (report.sizes.train, report.sizes.validation, report.sizes.test) == (250, 1, 2)


def test_the_answers_the_limit_cuts(write_rows: WriteRows, chatml: ChatTokenizer) -> None:
    rows = [{"prompt": f"{i}?", "completion": (LONG * (6 if i < 3 else 1)).strip()} for i in range(250)]
    rows[9]["prompt"] = LONG * 20
    report = run(write_rows(rows), chatml, 64)
    cut, lost = found(report, "answer-cut"), found(report, "prompt-too-long")
    assert (cut.count, cut.severity, lost.count, lost.severity) == (3, "error", 1, "warning")
    assert cut.what.startswith("3 rows (1.2 %): part of the answer is cut off at 64 tokens. ")
    assert cut.what.endswith("keeps all.")
    assert report.usable_rows == 249
    assert report.lengths is not None
    assert len(report.lengths.lengths) == 249
    longer = run(write_rows(rows), chatml, 2048)
    assert longer.findings == ()
    assert longer.usable_rows == 250


def test_a_few_cut_answers_only_warn(write_rows: WriteRows, chatml: ChatTokenizer) -> None:
    rows = [*pairs(250), {"prompt": "long?", "completion": LONG * 30}]
    report = run(write_rows(rows), chatml, 256)
    assert found(report, "answer-cut").severity == "warning"
    assert not report.blocked


def test_broken_json_among_json(write_rows: WriteRows) -> None:
    rows = [{"prompt": f"{i}", "completion": json.dumps({"category": i})} for i in range(250)]
    rows[17]["completion"] = '{"category": 17'
    report = run(write_rows(rows))
    assert report.answers_look_like == "json"
    assert [example.line for example in found(report, "broken-json").examples] == [18]


@pytest.mark.parametrize(
    ("answer", "flagged"), [("The", True), ("N/A", True), ("…", True), ("Paris.", False)]
)
def test_short_answers_are_suspicious_among_long_ones(
    write_rows: WriteRows, answer: str, flagged: bool
) -> None:
    rows = [{"prompt": f"{i}", "completion": f"{LONG * 3} {i}"} for i in range(250)]
    rows[17]["completion"] = answer
    assert ids(run(write_rows(rows))) == ({"short-answers"} if flagged else set())


def test_control_tokens_in_the_text(write_rows: WriteRows, chatml: ChatTokenizer) -> None:
    path = write_rows([*pairs(250), {"prompt": "Hi", "completion": "Press <|im_end|> to stop it."}])
    assert ids(run(path)) == set()
    report = run(path, chatml)
    assert found(report, "special-tokens").examples[0].line == 251


def test_rows_the_template_refuses_are_left_out(write_rows: WriteRows, tmp_path: Path) -> None:
    template = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('No system') }}{% endif %}"
    )
    template += "{{ m.role }}\n{{ m.content }}</s>{% endfor %}"
    tokenizer = write_tokenizer(tmp_path / "model", template, stops=["</s>"], eos="</s>")
    rows: list[dict[str, Any]] = [*pairs(249), {**pairs(250)[-1], "system": "Be terse."}]
    report = run(write_rows(rows), tokenizer)
    refused = found(report, "system-refused")
    assert (refused.count, refused.examples[0].line) == (1, 250)
    assert report.usable_rows == 249
    assert ids(run(write_rows(rows))) == set()


def test_bad_answers_and_pairs_are_explained(write_rows: WriteRows) -> None:
    rows = [{**row, "label": i % 2 == 0} for i, row in enumerate(pairs(500))]
    report = run(write_rows(rows))
    assert (found(report, "bad-answers").count, report.usable_rows) == (250, 250)
    preferences = [{"prompt": r["prompt"], "chosen": r["completion"], "rejected": "No."} for r in pairs(250)]
    assert ids(run(write_rows(preferences))) == {"pairs"}


def test_mixed_in_rows_go_to_training_and_are_weighed(write_rows: WriteRows) -> None:
    general = [{"instruction": f"Say {i}", "output": f"It is {i}, of course."} for i in range(100)]
    write_rows(general, "general.jsonl")
    path = write_rows(pairs(250))
    alone, mixed = run(path), run(path, mix=["general.jsonl"])
    tenth = round(alone.sizes.train / 9)
    assert (mixed.sizes.train, mixed.sizes.validation) == (alone.sizes.train + tenth, alone.sizes.validation)
    assert "mix-share" not in ids(mixed)
    everything = run(path, mix=["general.jsonl"], mix_share=0)
    assert everything.sizes.train == alone.sizes.train + 100
    assert found(everything, "mix-share").severity == "warning"
    assert found(run(path, mix=["general.jsonl"], mix_share=0.02), "mix-share").severity == "warning"
    assert found(run(path, mix=["general.jsonl"] * 3, mix_share=0), "mix-share").severity == "error"


def test_max_rows_and_shares(write_rows: WriteRows) -> None:
    path = write_rows(pairs(400))
    report = run(path, max_rows=250, validation=0, test=0)
    assert (report.rows, report.usable_rows, report.sizes.train) == (400, 250, 250)
    assert ids(report) == {"nothing-held-out"}


def test_the_split_does_not_depend_on_the_model(write_rows: WriteRows, chatml: ChatTokenizer) -> None:
    path = write_rows(pairs(400))
    assert run(path).sizes == run(path, chatml, 512).sizes


def test_several_problems_of_the_paths_come_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        check(Data(path=["a.jsonl", "b.jsonl"], test_path="c.jsonl", mix=["d.jsonl"]), base=tmp_path)
    assert [problem.where for problem in caught.value.problems] == [
        "c.jsonl",
        "a.jsonl",
        "b.jsonl",
        "d.jsonl",
    ]


def test_a_misnamed_file_is_read_and_noted(write_rows: WriteRows) -> None:
    report = run(write_rows(pairs(250), "rows.csv"))
    assert ids(report) == {"other-kind"}
    assert report.usable_rows == 250


def test_progress_reaches_the_end(write_rows: WriteRows) -> None:
    path = write_rows(pairs(1200))
    seen: list[Progress] = []
    check(Data(path=path.name), base=path.parent, progress=seen.append)
    assert [step.rows for step in seen] == [512, 1024, 1200]
    assert seen[-1].done_bytes == seen[-1].total_bytes == path.stat().st_size
    assert sorted(step.done_bytes for step in seen) == [step.done_bytes for step in seen]


def test_the_report_as_json(write_rows: WriteRows, chatml: ChatTokenizer) -> None:
    document = to_json(run(write_rows([*pairs(250), {"prompt": "Hi", "completion": ""}]), chatml, 512))
    assert json.loads(json.dumps(document)) == document
    assert (document["rows"], document["usable_rows"], document["shape"]) == (251, 250, "prompt-completion")
    assert document["findings"][0]["id"] == "empty-answer"
    assert document["findings"][0]["severity"] == "error"
    assert document["findings"][0]["examples"][0]["line"] == 251
    assert document["tokens"]["longest"] >= document["tokens"]["median"] > 0
    assert document["blocked"] is True


def test_every_finding_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    missing = [entry.id for entry in CATALOG.values() if f"`{entry.id}`" not in text]
    assert missing == []


@pytest.mark.parametrize("entry", CATALOG.values(), ids=CATALOG)
def test_every_finding_reads_as_a_sentence(entry: Any) -> None:
    for number in (1, 2):
        sentence = entry.sentence(number)
        assert sentence.endswith(".")
        assert "|" not in sentence
        assert "{" not in sentence
    assert entry.why.endswith(".")
    assert entry.fix.endswith((".", "]"))
