"""Readers: every kind of file, every way a row can be broken, each with its line."""

from __future__ import annotations

import gzip
import json
import subprocess
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from tui_ft.data import json_text
from tui_ft.data.encodings import conversion
from tui_ft.data.read import Meter, read, read_source
from tui_ft.data.rows import RawRow, Unreadable
from tui_ft.data.sources import locate
from tui_ft.errors import InputError

Found = list[tuple[int, Any]]


def read_bytes(folder: Path, name: str, content: bytes) -> list[RawRow | Unreadable]:
    (folder / name).write_bytes(content)
    return list(read([name], folder))


def found(rows: list[RawRow | Unreadable]) -> Found:
    """(line, values) of rows; (line, first words of the complaint) of what is none."""
    return [(row.line, dict(row.values) if isinstance(row, RawRow) else row.what) for row in rows]


A, B, C = {"a": "1"}, {"a": "2"}, {"a": "3"}


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("x.jsonl", b'{"a":"1"}\n{"a":"2"}\n', [(1, A), (2, B)]),
        ("x.ndjson", b'{"a":"1"}\n\n  \n{"a":"2"}', [(1, A), (4, B)]),
        ("x.jsonl", b'\xef\xbb\xbf{"a":"1"}\r\n{"a":"2"}\r\n', [(1, A), (2, B)]),
        ("x.json", b'[{"a":"1"},\n {"a":"2"}]', [(1, A), (2, B)]),
        ("x.json", b'\xef\xbb\xbf[\r\n{"a":"1"},\r\n{"a":"2"}\r\n]\r\n', [(2, A), (3, B)]),
        ("x.json", b'[\n  {\n    "a": "1"\n  },\n  {\n    "a": "2"\n  }\n]', [(2, A), (5, B)]),
        ("x.json", b'{"version": 1, "tags": ["t"], "data": [\n{"a":"1"},\n{"a":"2"}]}', [(2, A), (3, B)]),
        ("x.json", b'{"a":"1"}\n{"a":"2"}\n', [(1, A), (2, B)]),
        ("x.json", b'{\n"a": "1"\n}\n{\n"a": "2"\n}\n', [(1, A), (4, B)]),
        ("x.json", b'{"a":"1"}', [(1, A)]),
        ("x.json", b"[]", []),
        ("x.json", b'[{"a":"1"},{"a":"2"},]', [(1, A), (1, B)]),
        ("x.csv", b'a\n1\n"2"\n', [(2, A), (3, B)]),
        ("x.csv", b'\xef\xbb\xbfa\r\n"x\r\ny"\r\n1\r\n', [(2, {"a": "x\r\ny"}), (4, A)]),
        ("x.csv", b"a;b\n1;2,5\n", [(2, {"a": "1", "b": "2,5"})]),
        ("x.tsv", b"a\tb\n1\t2,5\n", [(2, {"a": "1", "b": "2,5"})]),
        ("x.csv", b'a,b\n1,"say ""hi"""\n', [(2, {"a": "1", "b": 'say "hi"'})]),
        ("x.txt", b"One.\nMore.\n\n\nTwo.\r\n", [(1, {"text": "One.\nMore."}), (5, {"text": "Two."})]),
        ("x.md", b"# One\n\nStill one.\n", [(1, {"text": "# One\n\nStill one."})]),
        ("x.jsonl.gz", gzip.compress(b'{"a":"1"}\n{"a":"2"}\n', mtime=0), [(1, A), (2, B)]),
        ("x.csv.gz", gzip.compress(b"a\n1\n", mtime=0), [(2, A)]),
        ("x.jsonl.zst", pa.compress(b'{"a":"1"}\n', codec="zstd", asbytes=True), [(1, A)]),
    ],
)
def test_good_files_give_their_rows_with_lines(
    tmp_path: Path, name: str, content: bytes, expected: Found
) -> None:
    assert found(read_bytes(tmp_path, name, content)) == expected


@pytest.mark.parametrize(
    ("name", "content", "line", "what"),
    [
        ("x.jsonl", b'{"a":"1"}\n{"a":\n{"a":"3"}\n', 2, "a value is missing"),
        ("x.jsonl", b'{"a":"1"}\n{"a":"2",}\n', 2, "there is a comma before the closing bracket"),
        ("x.jsonl", b'{"a":"1"}\n{\'a\': 1}\n', 2, "this is Python, not JSON"),
        ("x.jsonl", b'{"a":"1"}\n{"a":"2', 2, "cut off"),
        ("x.jsonl", b'{"a":"1"}\n{"a":"2" "b":1}\n', 2, "a comma or a closing bracket is missing"),
        ("x.jsonl", b'{"a":"1"}\n{"a":"2"}{"a":"3"}\n', 2, "something after the end of the row"),
        ("x.jsonl", b'{"a":"1"}\n{"a":NaN}\n', 2, "NaN is not JSON"),
        ("x.jsonl", b'{"a":"1"}\n{"a":-Infinity}\n', 2, "-Infinity is not JSON"),
        ("x.jsonl", b'{"a":"1"}\n{"a":"tab\there"}\n', 2, "raw line break, tab or control character"),
        ("x.jsonl", b'{"a":"1"}\n{"a":"nul\x00"}\n', 2, "raw line break, tab or control character"),
        ("x.jsonl", b'{"a":"1"}\n{"a":"\\x"}\n', 2, "backslash that escapes nothing"),
        ("x.jsonl", b'{"a":"1"}\n{"a":"\\u12"}\n', 2, "broken \\u escape"),
        ("x.jsonl", b'{"a":"1"}\n["a"]\n', 2, "this is a list"),
        ("x.jsonl", b'{"a":"1"}\n"a"\n', 2, "this is a string"),
        ("x.jsonl", b'{"a":"1"}\nnull\n', 2, "this is null"),
        ("x.jsonl", b'{"a":"1"}\n5\n', 2, "this is a number"),
        ("x.jsonl", b'{"a":"1"}\n{"a":' + b"9" * 5000 + b"}\n", 2, "too many digits"),
        ("x.jsonl", b'{"a":"1"}\n{"a":' + b"[" * 100_000 + b"}\n", 2, "nested too deeply"),
        ("x.jsonl", b'{"a":"1"}\nhello\n', 2, "a value is missing"),
        ("x.json", b'[{"a":"1"},\n{"a":2 "b":3},\n{"a":"3"}]', 2, "a comma or a closing bracket is missing"),
        ("x.json", b'[{"a":"1"},\n{"a":\n"2" x},\n{"a":"3"}]', 3, "a comma or a closing bracket is missing"),
        ("x.json", b'[{"a":"1"},\noops,\n{"a":"3"}]', 2, "a value is missing"),
        ("x.json", b'[{"a":"1"},\n{"a":"2"', 2, "cut off"),
        ("x.json", b'[{"a":"1"},\n{"a":"3"}\n', 3, "ends before its list is closed"),
        ("x.json", b'[{"a":"1"},\n[1, 2]]', 2, "this is a list"),
        ("x.csv", b"a,b\n1,2\n1,2,3\n", 3, "3 values for 2 columns"),
        ("x.csv", b"a,b\n1,2\n1\n", 3, "1 value for 2 columns"),
        ("x.csv", b'a,b\n1,2\n"x"y,2\n', 3, "a quote inside a quoted text"),
        ("x.csv", b'a,b\n1,2\n"x,2\n3,4\n', 3, "never ends"),
    ],
)
def test_a_broken_row_is_told_with_its_line_and_the_others_are_read(
    tmp_path: Path, name: str, content: bytes, line: int, what: str
) -> None:
    rows = read_bytes(tmp_path, name, content)
    broken = [row for row in rows if isinstance(row, Unreadable)]
    assert [row.line for row in broken] == [line]
    assert what in broken[0].what
    assert isinstance(rows[0], RawRow)
    assert b'"3"' not in content or "x.json" not in name or found(rows)[-1][1] == C or broken[0] == rows[-1]


def test_a_damaged_byte_marks_one_row_not_the_file(tmp_path: Path) -> None:
    rows = read_bytes(tmp_path, "x.jsonl", '{"a":"é"}\n{"a":"ü"}\n'.encode() + b'{"a":"\xe9"}\n{"a":"1"}\n')
    assert [row.line for row in rows] == [1, 2, 3, 4]
    assert isinstance(rows[2], RawRow)
    with pytest.raises(UnicodeEncodeError):
        rows[2].values["a"].encode()


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv", "x.txt", "x.json"])
@pytest.mark.parametrize(
    ("encoding", "named"), [("latin-1", "ISO-8859-1"), ("cp1252", "WINDOWS-1252"), ("utf-16", "UTF-16")]
)
def test_another_encoding_is_read_and_comes_with_the_exact_command(
    tmp_path: Path, name: str, encoding: str, named: str
) -> None:
    text = {"x.jsonl": '{"a":"café"}\n', "x.json": '[{"a":"café"}]', "x.csv": "a\ncafé\n", "x.txt": "café\n"}[
        name
    ]
    content = (text * 3 if name != "x.json" else text).replace("é", "é€" if encoding == "cp1252" else "é")
    rows = read_bytes(tmp_path, name, content.encode(encoding))
    (source,) = locate([name], tmp_path)
    assert source.encoding.name == named
    assert source.encoding.certain == (encoding == "utf-16")
    command = conversion(source.path, named)
    suffix = name.removeprefix("x")
    assert command == f"iconv -f {named} -t UTF-8 {tmp_path}/{name} > {tmp_path}/x.utf8{suffix}"
    subprocess.run(["sh", "-c", command], check=True, timeout=20)
    (again,) = locate([f"x.utf8{suffix}"], tmp_path)
    assert again.encoding.name == "UTF-8"
    assert found(list(read_source(again))) == found(rows)
    assert any("é" in str(row.values) for row in rows if isinstance(row, RawRow))


def test_the_command_quotes_odd_names_and_unpacks(tmp_path: Path) -> None:
    read_bytes(tmp_path, "my rows.jsonl.gz", gzip.compress('{"a":"café"}\n'.encode("latin-1")))
    (source,) = locate(["my rows.jsonl.gz"], tmp_path)
    command = conversion(source.path, source.encoding.name)
    subprocess.run(["sh", "-c", command], check=True, timeout=20)
    assert found(list(read(["my rows.utf8.jsonl.gz"], tmp_path))) == [(1, {"a": "café"})]


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32"])
def test_wide_text_is_read_with_and_without_a_mark(tmp_path: Path, codec: str) -> None:
    rows = read_bytes(tmp_path, "x.jsonl", '{"a":"1"}\r\n{"a":"é€😀"}\r\n'.encode(codec))
    assert found(rows) == [(1, A), (2, {"a": "é€😀"})]


def test_damage_in_wide_text_stays_in_its_row(tmp_path: Path) -> None:
    rows = read_bytes(
        tmp_path, "x.jsonl", '{"a":"1"}\n{"a":"'.encode("utf-16") + b"\x00\xd8" + '"}\n'.encode("utf-16-le")
    )
    assert rows[0].line == 1
    assert isinstance(rows[1], RawRow)
    with pytest.raises(UnicodeEncodeError):
        rows[1].values["a"].encode()


@pytest.mark.parametrize("codec", ["cp1251", "gbk", "shift_jis", "koi8_r"])
def test_an_encoding_that_cannot_be_told_is_not_guessed(tmp_path: Path, codec: str) -> None:
    text = {"gbk": "发票是错误的", "shift_jis": "請求書が間違っています"}.get(
        codec, "счёт неверный, помогите"
    )
    content = "".join(json.dumps({"a": text + str(i)}, ensure_ascii=False) + "\n" for i in range(20))
    with pytest.raises(InputError, match="its encoding cannot be told"):
        read_bytes(tmp_path, "x.jsonl", content.encode(codec))


@pytest.mark.parametrize(
    ("content", "noted"),
    [
        ('{"a":"1","a":"2"}', "a"),
        ('{"a":{"b":[{"c":1, "c" : 2}]}}', "c"),
        ('{"a":"1","a":"1"}', ""),
        ('{"a":"{\\"b\\":1,\\"b\\":2}","b":"x\\": y"}', ""),
    ],
)
@pytest.mark.parametrize("name", ["x.jsonl", "x.json"])
def test_a_name_that_stands_twice_is_noted(tmp_path: Path, name: str, content: str, noted: str) -> None:
    (row,) = read_bytes(tmp_path, name, content.encode())
    assert isinstance(row, RawRow)
    assert [finding for finding, _ in row.notes] == ["duplicate-keys"] * bool(noted)
    assert all(words.startswith(f"{noted!r} is there twice") for _, words in row.notes)


def test_parquet_and_arrow_rows_are_numbered(tmp_path: Path) -> None:
    table = pa.table({"prompt": ["a", "b"], "messages": [[{"role": "user", "content": "x"}], None]})
    parquet.write_table(table, tmp_path / "x.parquet")
    with pa.OSFile(str(tmp_path / "file.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    with (
        pa.OSFile(str(tmp_path / "stream.arrow"), "wb") as sink,
        pa.ipc.new_stream(sink, table.schema) as writer,
    ):
        writer.write_table(table)
    for name in ("x.parquet", "file.arrow", "stream.arrow"):
        rows = list(read([name], tmp_path))
        assert found(rows) == [
            (1, {"prompt": "a", "messages": [{"role": "user", "content": "x"}]}),
            (2, {"prompt": "b", "messages": None}),
        ]


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow"])
def test_a_damaged_binary_file_is_told(tmp_path: Path, name: str) -> None:
    magic = b"PAR1" if name == "x.parquet" else b"ARROW1\0\0"
    with pytest.raises(InputError, match="the file is damaged"):
        read_bytes(tmp_path, name, magic + b"rubbish" * 20 + magic)


def test_a_torn_gzip_file_is_told(tmp_path: Path) -> None:
    packed = gzip.compress(b'{"a":"1"}\n' * 100_000)
    with pytest.raises(InputError, match="ends too early"):
        read_bytes(tmp_path, "x.jsonl.gz", packed[: len(packed) // 2])


def test_two_lists_in_one_file_are_not_merged(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 lists of rows: train, test"):
        read_bytes(tmp_path, "x.json", b'{"train":[{"a":"1"}],\n"test":[{"a":"2"}]}')


def test_one_conversation_laid_out_over_lines_is_one_row(tmp_path: Path) -> None:
    row = {
        "tags": ["x"],
        "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}],
    }
    assert found(read_bytes(tmp_path, "x.json", json.dumps(row, indent=2).encode())) == [(1, row)]


def test_csv_headers_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two columns are called 'a'"):
        read_bytes(tmp_path, "x.csv", b"a,b,a\n1,2,3\n")
    with pytest.raises(InputError, match="does not look like column names"):
        read_bytes(
            tmp_path,
            "x.csv",
            b"A whole sentence that is far too long to be the name of any column.\nAnother.\n",
        )


def test_a_line_without_end_is_skipped_not_swallowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_text, "MAX_ROW", 1000)
    rows = read_bytes(tmp_path, "x.jsonl", b'{"a":"1"}\n{"a":"' + b"x" * 5000 + b'"}\n{"a":"3"}\n')
    assert [row.line for row in rows] == [1, 2, 3]
    assert isinstance(rows[1], Unreadable)
    assert "longer than" in rows[1].what


def test_a_row_without_end_in_a_list_ends_the_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_text, "MAX_ROW", 200_000)
    rows = read_bytes(tmp_path, "x.json", b'[{"a":"1"},\n{"a":"2\n' + b"{}," * 300_000 + b"]")
    assert len(rows) == 2
    assert isinstance(rows[1], Unreadable)
    assert rows[1].line == 2
    assert "nothing after it was read" in rows[1].what


@pytest.mark.parametrize("name", ["x.json", "x.jsonl"])
def test_memory_stays_flat(tmp_path: Path, name: str) -> None:
    line = json.dumps({"a": "word " * 200})
    content = "[" + ",\n".join([line] * 20_000) + "]" if name == "x.json" else "\n".join([line] * 20_000)
    (tmp_path / name).write_text(content)
    tracemalloc.start()
    try:
        assert sum(1 for _ in read([name], tmp_path)) == 20_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20 < len(content)


def test_the_meter_reaches_the_end(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"a":"1"}\n' * 5)
    (tmp_path / "y.csv").write_text("a\n1\n")
    sources = locate(["x.jsonl", "y.csv"], tmp_path)
    meter = Meter(sources)
    seen = [meter.done_bytes]
    for source in sources:
        for _ in read_source(source, meter):
            seen.append(meter.done_bytes)
    assert seen == sorted(seen)
    assert meter.done_bytes == meter.total_bytes == 54


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
_objects = st.dictionaries(st.text(), _values, max_size=4)


@given(st.lists(_objects, max_size=8), st.sampled_from([None, 0, 1, 4]), st.booleans())
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], indent: int | None, raw: bool
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    (folder / "list.json").write_text(
        json.dumps(rows, indent=indent, ensure_ascii=not raw), "utf-8", "surrogatepass"
    )
    assert [row.values for row in read(["list.json"], folder) if isinstance(row, RawRow)] == rows
    if rows:
        lines = "".join(json.dumps(row, ensure_ascii=not raw) + "\n" for row in rows)
        (folder / "rows.jsonl").write_text(lines, "utf-8")
        again = list(read(["rows.jsonl"], folder))
        assert [(row.line, row.values) for row in again if isinstance(row, RawRow)] == list(
            enumerate(rows, 1)
        )


@given(st.lists(st.binary(max_size=60), max_size=12), st.sampled_from([b"\n", b"\r\n", b""]))
def test_no_bytes_crash_the_reader_of_lines(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], newline: bytes
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    content = newline.join([b'{"a":"1"}\n{"a":"2"}\n', *lines])
    try:
        rows = read_bytes(folder, "x.jsonl", content)
    except InputError as error:
        # Only a whole file in an encoding that cannot be told is refused.
        wanted = "iconv" in error.fix
        rows = []
    else:
        wanted = len(rows) >= 2
    assert wanted
    assert all(row.line >= 1 for row in rows)
    assert all(row.what for row in rows if isinstance(row, Unreadable))


@given(st.data())
def test_a_mutated_document_loses_no_line_number(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    good = bytearray(b'[\n{"a": "1", "b": [1, 2]},\n{"a": "2", "b": {"c": null}},\n{"a": "3"}\n]')
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(1, len(good) - 1))
        good[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        rows = read_bytes(folder, "x.json", bytes(good))
    except InputError:
        rows = []  # nothing like JSON any more, or bytes of another encoding
    assert all(1 <= row.line <= bytes(good).count(b"\n") + 1 for row in rows)


def test_a_string_without_end_is_given_up_quickly(tmp_path: Path) -> None:
    # A pattern that goes back letter by letter takes minutes and gigabytes for this.
    rows = read_bytes(tmp_path, "x.json", b'[{"a":"1"},\n{"a":"' + b"x" * (3 << 20) + b"\n")
    assert [row.line for row in rows] == [1, 2]
    assert isinstance(rows[1], Unreadable)


def test_a_damaged_batch_says_how_far_it_is_sound(tmp_path: Path) -> None:
    table = pa.table({"a": [f"row {i}" for i in range(3000)]})
    with pa.OSFile(str(tmp_path / "x.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=1000)
    content = (tmp_path / "x.arrow").read_bytes().replace(b"row 2500", b"row 2\xff00")
    with pytest.raises(InputError, match="damaged after row 2,000"):
        read_bytes(tmp_path, "x.arrow", content)


@pytest.mark.parametrize(
    "content",
    [
        b'{"a": ["1", "2"], "b": ["3", "4"]}',
        b'{\n"a": {"0": "1", "1": "2"},\n"b": {"0": "3", "1": "4"}\n}',
    ],
)
def test_columns_are_not_taken_for_a_row(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InputError, match="columns, not rows"):
        read_bytes(tmp_path, "x.json", content)


@pytest.mark.parametrize(
    "content",
    [
        b'{"a": ["1"], "b": ["3"]}',
        b'{"a": ["1", "2"], "b": "3"}',
        b'{"a": {"x": "1", "y": "2"}, "b": {"x": "1"}}',
    ],
)
def test_a_row_of_lists_is_a_row(tmp_path: Path, content: bytes) -> None:
    assert found(read_bytes(tmp_path, "x.json", content)) == [(1, json.loads(content))]
