"""Readers under fire: whatever happens to the bytes of a file, a check ends in a report or a refusal."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.corpus_listing import CORPUS
from tui_ft.data import catalog_rows
from tui_ft.data.check import check
from tui_ft.data.read import read
from tui_ft.data.rows import DatasetReport
from tui_ft.errors import InputError
from tui_ft.recipe import Data
from tui_ft.text import sanitize

# Every finding about reading names a line, but for those about the columns as a whole.
_PLACED = {entry.id for entry in catalog_rows.entries()} - {"guessed-columns", "unused-columns"}
_TURNS = [
    {"role": "user", "content": "Where is it?"},
    {"role": "assistant", "content": 'On its way, "soon".'},
]
_ROWS = (
    {"prompt": "How do I reset it?", "completion": "Open the page {1}, then wait."},
    {"messages": _TURNS, "tools": [{"type": "function", "function": {"name": "track", "parameters": {}}}]},
    {"conversations": [{"from": "human", "value": "Käse?"}, {"from": "gpt", "value": "日本 😀"}]},
    {"instruction": "Add", "input": "1, 2", "output": 3, "score": -1.5e3, "none": None},
    {"prompt": "x", "chosen": "yes, it is", "rejected": "no", "label": True},
    {"text": "One line.\n\tAnother."},
)
_PIECES = (
    b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"null", b"NaN", b"-Infinity", b"1e999", b"9" * 4500,
    b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\\ud83d", b"\\u0000", b"\r", b"\t", b"\x1b[2J",
    b"\xe2\x80\xae", b"[" * 2000, b'{"a":' * 300, b'"role":', b'"content":5', b'""', b";", b"\xef\xbb\xbf",
    b"'", b"//", b"<|im_end|>",
)  # fmt: skip


def mutated(line: bytes, chance: random.Random) -> bytes:
    """A line with up to four things done to it: cut, doubled, swapped, overwritten or stuffed."""
    bad = bytearray(line)
    for _ in range(chance.randint(0, 4)):
        at, to = sorted(chance.choices(range(len(bad) + 1), k=2))
        match chance.randrange(6):
            case 0:
                del bad[at : min(to, at + 12)]
            case 1:
                bad[at:at] = bad[at : at + 40]
            case 2:
                bad[at:to] = bytes(reversed(bad[at:to][:8])) + bad[at:to][8:]
            case 3:
                bad[at : at + 1] = bytes([chance.randrange(256)])
            case 4:
                del bad[at:]
            case _:
                bad[at:at] = chance.choice(_PIECES)
    return bytes(bad).replace(b"\n", b" ")


def _lines(chance: random.Random, number: int) -> list[bytes]:
    return [
        mutated(json.dumps(chance.choice(_ROWS), ensure_ascii=chance.random() < 0.5).encode(), chance)
        for _ in range(number)
    ]


def _jsonl(chance: random.Random, number: int) -> bytes:
    return chance.choice((b"\n", b"\n", b"\r\n")).join(_lines(chance, number))


def _document(chance: random.Random, number: int) -> bytes:
    opening, closing = chance.choice(((b"[", b"]"), (b'{"data": [\n', b"]}"), (b"", b""), (b"[\n", b"")))
    return opening + b",\n".join(_lines(chance, number)) + closing


def _table(chance: random.Random, number: int) -> bytes:
    cells = [mutated(b'"How, ""so""?",Because it is', chance) for _ in range(number)]
    return b"prompt,completion\n" + b"\n".join(cells)


def _prose(chance: random.Random, number: int) -> bytes:
    return b"\n\n".join(mutated("Der Käse ist gut, 日本.".encode(), chance) for _ in range(number))


_MAKERS: dict[str, Callable[[random.Random, int], bytes]] = {
    "x.jsonl": _jsonl,
    "x.json": _document,
    "x.csv": _table,
    "x.txt": _prose,
}


def survive(folder: Path, name: str, content: bytes) -> DatasetReport | None:
    """Check a file; None when it is refused as a whole. Every place has a line of the file, safe to show."""
    (folder / name).write_bytes(content)
    begun = time.monotonic()
    try:
        report = check(Data(path=name), base=folder)
    except InputError:
        return None
    assert time.monotonic() - begun < 60
    last = content.count(b"\n") + content.count(b"\r") + 1
    for finding in report.findings:
        assert finding.examples or finding.id not in _PLACED, finding.id
        for example in finding.examples:
            assert 1 <= example.line <= last
            assert example.excerpt == sanitize(example.excerpt)
    assert report.usable_rows <= report.rows
    return report


@given(st.integers(0, 1 << 32), st.sampled_from(sorted(_MAKERS)))
@settings(max_examples=60, deadline=None)
def test_mutated_files_end_in_a_report_or_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, seed: int, name: str
) -> None:
    survive(tmp_path_factory.mktemp("fuzz"), name, _MAKERS[name](random.Random(seed), 12))


@given(st.integers(0, 1 << 32))
@settings(max_examples=40, deadline=None)
def test_no_mutated_line_is_lost(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    good = b'{"prompt": "Hi", "completion": "Hello to you"}'
    lines = [good, *(line.replace(b"\r", b" ") for line in _lines(random.Random(seed), 12))]
    report = survive(tmp_path_factory.mktemp("fuzz"), "x.jsonl", b"\n".join(lines))
    if report is not None and "other-encoding" not in {finding.id for finding in report.findings}:
        assert report.rows == sum(bool(line.strip(b" \t\xef\xbb\xbf")) for line in lines)


@pytest.mark.slow
@given(st.integers(0, 1 << 32), st.sampled_from(sorted(_MAKERS)))
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_hundred_thousand_mutated_lines(
    tmp_path_factory: pytest.TempPathFactory, seed: int, name: str
) -> None:
    survive(tmp_path_factory.mktemp("fuzz"), name, _MAKERS[name](random.Random(seed), 200))


_BINARY = (
    "columnar/messages.parquet",
    "columnar/file.arrow",
    "columnar/stream.arrow",
    "packed/good.jsonl.gz",
    "packed/good.jsonl.zst",
    "encodings/utf16_le_bom.jsonl",
    "encodings/latin1.jsonl.gz",
)


@given(st.integers(0, 1 << 32), st.sampled_from(_BINARY))
@settings(max_examples=150, deadline=None)
def test_mutated_bytes_end_in_rows_or_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, seed: int, name: str
) -> None:
    chance = random.Random(seed)
    content = bytearray((CORPUS / name).read_bytes())
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(content))
        match chance.randrange(4):
            case 0:
                content[at] = chance.randrange(256)
            case 1:
                del content[at : at + chance.randint(1, 20)]
            case 2:
                content[at:at] = chance.randbytes(chance.randint(1, 8))
            case _:
                del content[at + 1 :]
        content = content or bytearray(b"x")
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / Path(name).name).write_bytes(content)
    try:
        rows = list(read([Path(name).name], folder))
    except InputError as error:
        refused = str(error)
    else:
        refused = "" if all(row.line >= 1 for row in rows) else "a row without a line"
    assert refused != "a row without a line"
