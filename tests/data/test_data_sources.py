"""From a data path to files: what is missing, misnamed, foreign or does not belong together."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pyarrow as pa
import pytest

from tui_ft.data import sources
from tui_ft.data.kinds import kind_of, split_of
from tui_ft.data.sources import locate
from tui_ft.errors import InputError

ROW = b'{"prompt": "Hi", "completion": "Hello"}\n'


def problem(folder: Path, path: str) -> tuple[str, str]:
    with pytest.raises(InputError) as caught:
        locate([path], folder)
    return caught.value.what, caught.value.fix


def test_a_path_that_is_not_there_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_bytes(ROW)
    (tmp_path / "notes.pdf").write_bytes(b"x")
    assert problem(tmp_path, "trian.jsonl") == ("there is no such file", "Did you mean train.jsonl?")
    assert problem(tmp_path, "q.parquet")[1] == f"In {tmp_path} there are: train.jsonl."
    assert problem(tmp_path, "nowhere/train.jsonl")[1] == f"There is no folder {tmp_path}/nowhere either."


def test_something_like_a_hub_id_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "tatsu-lab").mkdir()
    assert problem(tmp_path, "tatsu-lab/alpaca")[1].endswith("write hub:tatsu-lab/alpaca.")
    assert problem(tmp_path, "./tatsu-lab/x.jsonl")[1] == f"There are no data files in {tmp_path}/tatsu-lab."


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        locate(["a.jsonl", "b.jsonl"], tmp_path)
    assert [found.where for found in caught.value.problems] == ["a.jsonl", "b.jsonl"]


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("x.jsonl", b"", "the file is empty"),
        ("x.jsonl", b" \n\n", "nothing but blank space"),
        ("x.csv", b"PK\x03\x04rest", "a zip archive or an Excel file"),
        ("x.jsonl", b"%PDF-1.7", "this is a PDF"),
        ("x.jsonl", b"<!DOCTYPE html><html>", "a web page"),
        ("x.parquet", b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
        ("x.json", b"SQLite format 3\x00", "a SQLite database"),
        ("x.json", b"\x80\x04\x95pickle", "can run code"),
        ("x.txt", b"\x00\x01\x02\x03\x04\x05" * 9, "a binary file of an unknown kind"),
        ("x.jsonl.gz", b"not packed", "is not gz data"),
        ("x.jsonl.zst", b"not packed", "is not zst data"),
        ("x.json", b"prompt,completion\nHi,Hello\n", "this is not JSON: it begins with 'prompt,completion"),
        ("x.parquet", b"prompt,completion\nHi,Hello\n", "this is not Parquet"),
        ("x.dat", b"prompt completion", "it is unclear what kind of file this is"),
    ],
)
def test_each_file_that_cannot_be_read_has_its_own_message(
    tmp_path: Path, name: str, content: bytes, what: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert what in problem(tmp_path, name)[0]


def test_a_csv_called_json_is_told_to_be_renamed(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b"prompt,completion\nHi,Hello\n")
    assert problem(tmp_path, "x.json")[1] == "If it holds comma-separated values, rename it to .csv."


@pytest.mark.parametrize(
    ("name", "head", "kind", "noted"),
    [
        ("x.jsonl", ROW, "jsonl", False),
        ("x.jsonl", ROW * 2, "jsonl", False),
        ("x.jsonl", b'{"broken\n' + ROW, "jsonl", False),
        ("x.jsonl", b"['a', 'b']\n", "jsonl", False),
        ("x.json", ROW, "json", False),
        ("x.json", ROW * 2, "jsonl", True),
        ("x.json", b'{"data": [\n' + ROW, "json", False),
        ("x.json", b"[\n" + ROW, "json", False),
        ("x.jsonl", b"[\n" + ROW, "json", True),
        ("x.jsonl", b'[{"a": 1}, {"a": 2}]', "json", True),
        ("x.jsonl", b'{\n  "a": 1\n}', "json", True),
        ("x.csv", ROW * 2, "jsonl", True),
        ("x.csv", b"a,b\n1,2", "csv", False),
        ("x.csv", b"[x],b\n1,2", "csv", False),
        ("x.txt", b'{"a": 1}', "text", False),
        ("x.md", b"<html> is a tag", "text", False),
        ("x.json", b"PAR1....", "parquet", True),
        ("x.parquet", ROW * 2, "jsonl", True),
        ("x", ROW * 2, "jsonl", False),
        ("x.jsonl.gz", ROW, "jsonl", False),
    ],
)
def test_content_wins_over_the_name(name: str, head: bytes, kind: str, noted: bool) -> None:
    found, note = kind_of(name, head)
    assert (found, bool(note)) == (kind, noted)


def test_a_folder_of_shards_is_read_in_order_without_its_papers(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl", "sub/c.jsonl", ".hidden/d.jsonl"):
        (tmp_path / "shards" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "shards" / name).write_bytes(ROW)
    (tmp_path / "shards/README.md").write_text("# Data")
    (tmp_path / "shards/dataset_info.json").write_text("{}")
    assert [source.name for source in locate(["shards"], tmp_path)] == [
        "shards/a.jsonl",
        "shards/b.jsonl",
        "shards/sub/c.jsonl",
    ]


def test_a_folder_of_texts_is_read_without_its_papers(tmp_path: Path) -> None:
    for name in ("one.md", "two.txt", "README.md"):
        (tmp_path / name).write_text("words")
    assert [source.name for source in locate(["."], tmp_path)] == ["one.md", "two.txt"]


@pytest.mark.parametrize(
    ("names", "what"),
    [
        ((), "there are no data files in this folder"),
        (("image.png",), "there are no data files in this folder"),
        (("a.jsonl", "a.csv"), "files of different kinds"),
        (("train.jsonl", "test.jsonl"), "the folder holds test and train files"),
        (("train/x.jsonl", "dev/x.jsonl"), "the folder holds train and validation files"),
    ],
)
def test_folders_that_do_not_make_one_dataset(tmp_path: Path, names: tuple[str, ...], what: str) -> None:
    (tmp_path / "data").mkdir()
    for name in names:
        (tmp_path / "data" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "data" / name).write_bytes(ROW)
    assert what in problem(tmp_path, "data")[0]


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("train-00000-of-00002.parquet", "train"),
        ("data/validation.jsonl", "validation"),
        ("dev.csv", "validation"),
        ("my_test_set.json", "test"),
        ("latest.jsonl", None),
        ("contest.jsonl", None),
        ("training-data.jsonl", None),
    ],
)
def test_splits_are_told_by_whole_words(path: str, split: str | None) -> None:
    assert split_of(Path(path)) == split


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "x.jsonl")
    assert problem(tmp_path, "x.jsonl")[0] == "this is neither a file nor a folder"


def test_links_that_lead_nowhere_or_in_a_circle_are_told(tmp_path: Path) -> None:
    (tmp_path / "gone.jsonl").symlink_to("deleted.jsonl")
    (tmp_path / "loop.jsonl").symlink_to("loop.jsonl")
    assert problem(tmp_path, "gone.jsonl")[0] == "this is a link to deleted.jsonl, where nothing is"
    assert problem(tmp_path, "loop.jsonl")[0] == "cannot be read: Too many levels of symbolic links"


def test_a_folder_that_holds_itself_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.jsonl").write_bytes(ROW)
    (tmp_path / "data/self").symlink_to(".")
    (tmp_path / "data/up").symlink_to("..")
    assert [source.name for source in locate(["data"], tmp_path)] == ["data/a.jsonl"]


@pytest.mark.parametrize("path", ["x" * 300, "a\0b", "/dev/zero", "/dev/null"])
def test_paths_no_file_can_have_are_refused(tmp_path: Path, path: str) -> None:
    what, _ = problem(tmp_path, path)
    assert what.startswith(("cannot be read", "there is no such file", "this is neither a file nor a folder"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_and_folders_without_permission_are_told(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(ROW)
    (tmp_path / "x.jsonl").chmod(0)
    (tmp_path / "data" / "closed").mkdir(parents=True)
    (tmp_path / "data" / "closed").chmod(0)
    try:
        assert problem(tmp_path, "x.jsonl")[0] == "cannot be read: Permission denied"
        assert problem(tmp_path, "data")[0] == "a folder in it cannot be read: Permission denied"
    finally:
        (tmp_path / "data" / "closed").chmod(0o700)


@pytest.mark.parametrize("name", ["x.jsonl.gz", "x.jsonl.zst"])
def test_a_bomb_is_not_unpacked(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_UNPACKED", 1 << 20)
    content = ROW + b" " * (40 << 20)
    packed = (
        gzip.compress(content) if name.endswith("gz") else pa.compress(content, codec="zstd", asbytes=True)
    )
    (tmp_path / name).write_bytes(packed)
    assert (
        problem(tmp_path, name)[0]
        == "the file unpacks to more than 400 times its size, which no text of use does"
    )
