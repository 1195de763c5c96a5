"""A large file is checked in portions by several processes, and the report is the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.conftest import WriteRows
from tests.data.samples import CHATML, pairs, write_tokenizer
from tui_ft.data import check as checking
from tui_ft.data import portions
from tui_ft.data.check import Progress, check
from tui_ft.data.crew import CheckCancelled, Crew
from tui_ft.data.gather import Scope, common_of
from tui_ft.data.lengths import Ruler, all_exact, trusted_ruler
from tui_ft.data.portions import Mapper
from tui_ft.data.read import Meter
from tui_ft.data.stream import judge, open_inputs
from tui_ft.errors import EnvironmentProblem
from tui_ft.models import token_count
from tui_ft.models.token_count import TokenCounter
from tui_ft.models.tokenizer import ChatTokenizer
from tui_ft.recipe import Data

# What texts are cut at, and what stands beside it.
BITS = st.sampled_from(
    ["a", "Foo", "12", "٣", "¼", " ", "  ", "\n", "\n\n", "\r\n", "\t", "\x00", "\x1c", "\u00a0", "\u3000",
     "é", "日本", "🙂", ".", "don't"]
)  # fmt: skip


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat small files as large ones."""
    monkeypatch.setattr(checking, "_LARGE_BYTES", 0)
    monkeypatch.setattr(portions, "SPAN_BYTES", 4096)
    monkeypatch.setattr(portions, "BATCH", 64)


def mixed(path: Path, ends: str = "\n") -> Path:
    """Good rows with every kind of trouble among them, in lines with these ends."""
    lines = [json.dumps(row, ensure_ascii=False) for row in pairs(400)]
    lines[20:20] = ["", "   "]
    lines[50] = lines[50][:-4]
    lines[130] = lines[7]
    lines[200] = json.dumps({"prompt": "Hi", "completion": ""})
    lines[260] = json.dumps(
        {"prompt": "naïve “quotes” 日本語", "completion": "So:\n\n  1. x\n\t2. y  \n \nEnd " * 9}
    )
    lines[300] = json.dumps({**pairs(9)[8], "completion": "Something else."})
    lines[350] = json.dumps({"prompt": "Say <|im_end|> twice", "completion": "No, I will not."})
    path.write_bytes(ends.join(lines).encode())
    return path


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_the_report_does_not_depend_on_the_number_of_processes(
    tmp_path: Path, chatml: ChatTokenizer, ends: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = mixed(tmp_path / "rows.jsonl", ends)

    def report(workers: int) -> Any:
        return check(Data(path=path.name), base=tmp_path, tokenizer=chatml, seq_len=64, workers=workers)

    alone, one, two = (report(workers) for workers in (0, 1, 2))
    assert alone == one == two
    monkeypatch.setattr(checking, "_LARGE_BYTES", 1 << 40)
    assert report(0) == alone
    lines = {finding.id: [example.line for example in finding.examples] for finding in alone.findings}
    assert lines["unparseable"] == [51]
    assert lines["duplicates"] == [131]
    assert lines["empty-answer"] == [201]
    assert lines["special-tokens"] == [351]


@pytest.mark.usefixtures("large")
def test_other_kinds_of_files_are_shared_out_in_batches(write_rows: WriteRows, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps(pairs(300)))
    given = Data(path=["rows.json", write_rows(pairs(40), "more.jsonl").name])
    alone, two = (check(given, base=tmp_path, workers=workers) for workers in (0, 2))
    assert alone == two
    assert alone.rows == 340


@pytest.mark.usefixtures("large")
def test_progress_of_portions_reaches_the_end(write_rows: WriteRows) -> None:
    path = write_rows(pairs(400))
    seen: list[Progress] = []
    check(Data(path=path.name), base=path.parent, progress=seen.append, workers=2)
    assert len(seen) > 5
    assert seen[-1] == Progress(400, path.stat().st_size, path.stat().st_size)
    assert sorted(step.done_bytes for step in seen) == [step.done_bytes for step in seen]


def crew(path: Path, size: int, cancelled: Callable[[], bool] = lambda: False) -> tuple[Crew, Mapper]:
    data = Data(path=path.name)
    inputs = open_inputs(data, path.parent)
    mapper = Mapper(Scope(data, None, "answers", common_of(data, inputs), None), inputs)
    return Crew(mapper, size, cancelled), mapper


@pytest.mark.usefixtures("large")
def test_a_process_that_dies_is_an_error_and_none_is_left(write_rows: WriteRows) -> None:
    path = write_rows(pairs(400))
    workers, mapper = crew(path, 2)
    meter = Meter(mapper.inputs[0].sources)
    with closing(portions.portions(mapper.inputs, meter)) as cut, workers:
        pids = workers.pids
        mapped = workers.map(cut)
        next(mapped)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(EnvironmentProblem, match="ended unexpectedly"):
            list(mapped)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.usefixtures("large")
def test_a_check_can_be_stopped(write_rows: WriteRows) -> None:
    path = write_rows(pairs(400))
    seen: list[Progress] = []
    with pytest.raises(CheckCancelled):
        check(
            Data(path=path.name),
            base=path.parent,
            progress=seen.append,
            cancelled=lambda: bool(seen),
            workers=2,
        )
    assert len(seen) == 1


_ENDLESS = """
import sys
from pathlib import Path
from tui_ft.data import check, portions
from tui_ft.data.crew import Crew
from tui_ft.recipe import Data
check._LARGE_BYTES, portions.SPAN_BYTES = 0, 4096
start = Crew.__enter__
def told(crew):
    start(crew)
    print(*crew.pids, flush=True)
    return crew
Crew.__enter__ = told
path = Path(sys.argv[1])
while True:
    check.check(Data(path=path.name), base=path.parent, workers=2)
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_the_check(write_rows: WriteRows, ending: signal.Signals) -> None:
    path = write_rows(pairs(400))
    parent = subprocess.Popen(
        [sys.executable, "-P", "-c", _ENDLESS, str(path)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True, text=True,
    )  # fmt: skip
    assert parent.stdout is not None
    with parent.stdout as told:
        pids = told.readline().split()
        # Ctrl-C in a terminal reaches all processes of the group.
        (os.killpg if ending == signal.SIGINT else os.kill)(parent.pid, ending)
        # The processes hold the pipe's other end no longer than they live: reading ends with the last.
        pids += told.read().split()
    parent.wait(20)
    for pid in pids:
        _wait_for_end(int(pid))


def _wait_for_end(pid: int) -> None:
    """Return when the process is gone; fails after 20 s."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    import select

    try:
        assert select.select([handle], [], [], 20)[0], f"process {pid} lives on"
    finally:
        os.close(handle)


def test_measures_are_those_of_encoded_rows(tmp_path: Path, chatml: ChatTokenizer) -> None:
    path = mixed(tmp_path / "rows.jsonl")
    data = Data(path=path.name)
    rows = list(judge(open_inputs(data, tmp_path), data))
    ruler = Ruler(chatml, 40)
    quick = [judged for judged in ruler.measure(rows) if judged.measure is not None]
    assert len(quick) >= 390
    assert all_exact(quick, chatml, "answers", 40)
    wrong = Ruler(chatml, 41)
    assert not all_exact(wrong.measure(quick[255:262]), chatml, "answers", 40)


def test_a_template_that_looks_at_the_texts_is_not_measured(tmp_path: Path, write_rows: WriteRows) -> None:
    template = CHATML.replace(
        "message['content']", "(message['content'] if 'alpha' in message['content'] else '-')"
    )
    tokenizer = write_tokenizer(tmp_path / "model", template, stops=["<|im_end|>"], eos="<|im_end|>")
    data = Data(path=write_rows(pairs(200)).name)
    inputs = open_inputs(data, tmp_path)
    scope = Scope(data, None, "answers", common_of(data, inputs), tokenizer)
    assert (
        trusted_ruler(scope, inputs) is None
        or Ruler(tokenizer, None).measure(judge(inputs, data))[0].measure is None
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        " a",
        "a ",
        "a  b",
        "a   12  b",
        "x\n\ny",
        "x\n\n1",
        "x\n \ny",
        "x\n  y\n",
        "x \n y",
        "\ta\t b",
        "日本 語",
    ],
)
def test_tokens_of_pieces_add_up(chatml: ChatTokenizer, text: str) -> None:
    counter = TokenCounter(chatml)
    assert counter.count([text, text]) == [len(chatml.encode(text)[0])] * 2


@given(st.lists(st.lists(BITS, max_size=12).map("".join), min_size=1, max_size=8))
def test_tokens_of_any_texts_add_up(chatml: ChatTokenizer, texts: list[str]) -> None:
    assert TokenCounter(chatml).count(texts) == chatml.lengths(texts)


def test_tokens_of_more_words_than_are_remembered(
    chatml: ChatTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_count, "_FIRST_SLOTS", 256)
    monkeypatch.setattr(token_count, "_MOST_SLOTS", 1024)
    counter = TokenCounter(chatml)
    texts = [" ".join(f"word{i} {i * 7}" for i in range(start, start + 60)) for start in range(0, 1500, 30)]
    for _ in range(2):
        assert [counter.count([text])[0] for text in texts] == chatml.lengths(texts)


def test_tokens_of_a_text_too_long_to_cut_at_once(chatml: ChatTokenizer) -> None:
    texts = ["short one", "a few words " * 8_000, "x" * 70_000, "short two"]
    assert TokenCounter(chatml).count(texts) == chatml.lengths(texts)
