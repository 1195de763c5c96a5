"""What kind of file this is: by its name, and by its first bytes when the two disagree."""

from __future__ import annotations

import json
from pathlib import Path, PurePath
from typing import Literal

from tui_ft.errors import InputError
from tui_ft.text import excerpt

Kind = Literal["jsonl", "json", "csv", "tsv", "parquet", "arrow", "text"]
Compression = Literal["", "gz", "zst"]

KINDS: dict[str, Kind] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".tsv": "tsv",
    ".parquet": "parquet", ".arrow": "arrow", ".txt": "text", ".md": "text",
}  # fmt: skip
_COMPRESSIONS: dict[str, Compression] = {".gz": "gz", ".zst": "zst"}
_KIND_WORDS: dict[Kind, str] = {
    "jsonl": "JSON lines", "json": "JSON", "csv": "comma-separated values", "tsv": "tab-separated values",
    "parquet": "Parquet", "arrow": "Arrow", "text": "plain text",
}  # fmt: skip
_WEB_PAGE = ("a web page, not data", "Download the raw file instead of the page about it.")
_FOREIGN = (
    (b"PK\x03\x04", "a zip archive or an Excel file", "Unpack it, or save the sheet as CSV."),
    (b"%PDF", "a PDF", "Extract its text to a .txt file first."),
    (b"SQLite format 3", "a SQLite database", "Export the table as CSV."),
    (b"\x89HDF", "an HDF5 file", "Save it as Parquet or JSON lines."),
    (b"BZh", "compressed with bzip2", "Unpack it with bunzip2."),
    (b"\x1f\x8b", "compressed with gzip", "Add .gz to its name."),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard", "Add .zst to its name."),
    (b"\xfd7zXZ", "compressed with xz", "Unpack it with unxz."),
    (b"\x80\x04\x95", "a Python pickle, which can run code when it is opened", "Save it as JSON lines."),
    (b"version https://git-lfs", "a Git LFS pointer, not the data itself", "Fetch it with `git lfs pull`."),
    (b"<!DOCTYPE html", *_WEB_PAGE),
    (b"<!doctype html", *_WEB_PAGE),
    (b"<html", *_WEB_PAGE),
)
_SPLIT_NAMES = {
    "train": "train", "validation": "validation", "valid": "validation", "val": "validation",
    "dev": "validation", "eval": "validation", "test": "test", "heldout": "test",
}  # fmt: skip
_ENOUGH = "Put at least 50 rows into it."
READABLE = f"tui-ft reads {', '.join(KINDS)} files."


def kind_by_name(name: str) -> Kind | None:
    """The kind a file name claims, compressed or not; None for names that claim nothing."""
    path = PurePath(name.lower())
    return KINDS.get(PurePath(path.stem).suffix if path.suffix in _COMPRESSIONS else path.suffix)


def compression_of(path: Path) -> Compression:
    """How a file is compressed, by its name."""
    return _COMPRESSIONS.get(path.suffix.lower(), "")


def split_of(path: PurePath) -> str | None:
    """Which split a path speaks of, e.g. test-00000-of-00001.parquet → "test"; None when it does not."""
    plain = str(path.with_suffix("")).casefold()
    for separator in "\\/_. ":
        plain = plain.replace(separator, "-")
    return next((_SPLIT_NAMES[word] for word in plain.split("-") if word in _SPLIT_NAMES), None)


def kind_of(name: str, head: bytes, shown: str = "") -> tuple[Kind, str]:
    """What a file holds, by its name and its first bytes, and a note when the two disagree.

    Raises InputError when it is nothing that can be read.
    """
    where = shown or name
    named = kind_by_name(name)
    held = _kind_by_content(head, named, where)
    if held is None:
        if named is None:
            raise InputError("it is unclear what kind of file this is", where=where, fix=READABLE)
        begins = excerpt(head[:200].decode("utf-8", "replace"), 40)
        raise InputError(
            f"this is not {_KIND_WORDS[named]}: it begins with {begins!r}",
            where=where,
            fix=_rename_hint(head, named),
        )
    if named is not None and held != named:
        return held, f"is named {Path(name).suffix} but holds {_KIND_WORDS[held]}; read as such"
    return held, ""


def _kind_by_content(head: bytes, named: Kind | None, where: str) -> Kind | None:
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"ARROW1") or (named == "arrow" and head.startswith(b"\xff\xff\xff\xff")):
        return "arrow"
    bare = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for magic, what, fix in _FOREIGN:
        if bare.startswith(magic) and not (named == "text" and magic.startswith(b"<")):
            raise InputError(f"this is {what}", where=where, fix=fix)
    if not bare:
        raise InputError("the file holds nothing but blank space", where=where, fix=_ENOUGH)
    if b"\0" in head[:4096] and named not in ("jsonl", "csv", "tsv"):
        raise InputError("this is a binary file of an unknown kind", where=where)
    if named == "text":
        lines = [line for line in bare.split(b"\n") if line.strip()][:2]
        return "jsonl" if len(lines) == 2 and all(map(_is_object, lines)) else "text"
    if kind := _json_kind(bare, named):
        return kind
    if named == "jsonl" and not any(
        line.lstrip().startswith((b"{", b"[", b'"{')) for line in head.split(b"\n")
    ):
        return None
    return named if named in ("jsonl", "csv", "tsv") else None


def _json_kind(head: bytes, named: Kind | None) -> Kind | None:
    """JSON lines or a JSON document, or None when it begins like neither."""
    lines = [line.strip() for line in head.split(b"\n") if line.strip()]
    first, second = lines[0], lines[1] if len(lines) > 1 else b""
    if first == b"[" or first.startswith((b'[{"', b"[{ ")) or first in (b"[{", b"{"):
        return "json"
    if _is_object(first):
        return "jsonl" if second or named != "json" else "json"
    if first.startswith((b'{"', b"{'", b"{ ")):
        # Either one broken or very long row of many, or a document laid out over several lines.
        laid_out = bool(second) and not second.startswith(b"{")
        return "json" if laid_out or named == "json" else "jsonl"
    return named if named in ("json", "jsonl") and first.startswith((b"[", b"{")) else None


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _rename_hint(head: bytes, named: Kind) -> str:
    first = head.split(b"\n", 1)[0]
    if named in ("json", "jsonl") and first.count(b",") >= 1 and not first.lstrip().startswith((b"{", b"[")):
        return "If it holds comma-separated values, rename it to .csv."
    if named in ("json", "jsonl"):
        return "JSON begins with { or [. For plain text, rename it to .txt."
    return "The download may be incomplete: fetch it again."
