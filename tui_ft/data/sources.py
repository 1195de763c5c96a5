"""Which files a data path means, and what is in them by their content, not only by their name."""

from __future__ import annotations

import gzip
import io
import os
import stat
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from tui_ft.data import encodings
from tui_ft.data.encodings import Encoding
from tui_ft.data.kinds import READABLE, Compression, Kind, compression_of, kind_by_name, kind_of, split_of
from tui_ft.errors import InputError, Problem
from tui_ft.recipe import resolve
from tui_ft.text import excerpt, nearest

# Files that describe a dataset folder and hold no rows.
_METADATA = frozenset({"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"})
_PAPERS = frozenset({"readme", "license", "licence"})
_HEAD = 1 << 16
_CHUNK = 1 << 20
# No text of use packs as well as this; beyond it a small file would keep the reader busy for hours.
_UNPACKED, _RATIO = 1 << 30, 400
_UTF8 = Encoding()


@dataclass(frozen=True, slots=True)
class Source:
    """One data file. `name` is how it is shown; `note` tells when its content belies its name.

    `mixed_ends`: some of its lines end as on Windows and some as elsewhere.
    """

    path: Path
    name: str
    kind: Kind
    compression: Compression = ""
    note: str = ""
    encoding: Encoding = _UTF8
    mixed_ends: bool = False

    @property
    def size_bytes(self) -> int:
        """Bytes on disk."""
        return self.path.stat().st_size


def locate(paths: Sequence[str], base: Path) -> tuple[Source, ...]:
    """The files behind the data paths of a recipe in `base`; folders and hub ids become their files.

    Raises InputError with every problem of every path, EnvironmentProblem when the hub cannot be reached.
    """
    found: list[Source] = []
    problems: list[Problem] = []
    for given in paths:
        try:
            found.extend(_files(given, base))
        except InputError as error:
            problems.extend(error.problems)
    if problems:
        raise InputError(problems)
    return tuple(found)


def open_binary(source: Source) -> tuple[BinaryIO, BinaryIO]:
    """The unpacked bytes of a file, and the file itself, whose position tells how far reading is."""
    raw = source.path.open("rb")
    if source.compression == "gz":
        return cast(BinaryIO, gzip.GzipFile(fileobj=raw)), raw
    if source.compression == "zst":
        import pyarrow as pa

        return cast(BinaryIO, pa.input_stream(raw, compression="zstd")), raw
    return raw, raw


def open_text(source: Source) -> tuple[TextIO, BinaryIO]:
    """The text of a file and the file itself, as `open_binary`. A byte order mark is dropped.

    What is damaged becomes a lone surrogate.
    """
    stream, raw = open_binary(source)
    encoding = source.encoding
    return io.TextIOWrapper(stream, encoding=encoding.codec, errors=encoding.errors, newline=""), raw


def _chunks(source: Source) -> Iterator[bytes]:
    stream, raw = open_binary(source)
    with raw, stream:
        while chunk := stream.read(_CHUNK):
            yield chunk


def _files(given: str, base: Path) -> list[Source]:
    if given.startswith("hub:"):
        from tui_ft.data.hub import fetch

        return [_source(path, name) for path, name in fetch(given)]
    path = Path(resolve(given, base))
    shown = _shown(path, base)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise _missing(path, shown, given) from None
    except OSError as error:
        raise InputError(f"cannot be read: {_words(error)}", where=excerpt(shown, 80)) from None
    if stat.S_ISDIR(mode):
        return _shards(path, shown, base)
    if not stat.S_ISREG(mode):
        raise InputError("this is neither a file nor a folder", where=shown)
    return [_source(path, shown)]


def _shown(path: Path, base: Path) -> str:
    return str(path.relative_to(base.absolute())) if path.is_relative_to(base.absolute()) else str(path)


def _missing(path: Path, shown: str, given: str) -> InputError:
    parent = path.parent
    if path.is_symlink():
        return InputError(f"this is a link to {excerpt(str(path.readlink()))}, where nothing is", where=shown)
    if not parent.is_dir():
        return InputError("there is no such file", where=shown, fix=f"There is no folder {parent} either.")
    names = sorted(p.name for p in parent.iterdir() if p.is_dir() or kind_by_name(p.name))
    close = nearest(path.name, names)
    if close:
        fix = f"Did you mean {' or '.join(close)}?"
    elif names:
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        fix = f"In {parent} there are: {', '.join(names[:5])}{more}."
    elif given.count("/") == 1 and not given.startswith((".", "/", "~")):
        fix = f"For a dataset on the Hugging Face hub write hub:{given}."
    else:
        fix = f"There are no data files in {parent}."
    return InputError("there is no such file", where=shown, fix=fix)


def _shards(folder: Path, shown: str, base: Path) -> list[Source]:
    """All data files of a folder that belong together. Raises InputError when they do not."""
    files = [
        path
        for path in sorted(_inside(folder, shown))
        if path.is_file()
        and kind_by_name(path.name)
        and path.name not in _METADATA
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    structured = [path for path in files if kind_by_name(path.name) != "text"]
    files = structured or [path for path in files if path.stem.casefold() not in _PAPERS]
    if not files:
        raise InputError("there are no data files in this folder", where=shown, fix=READABLE)
    kinds = {kind for path in files if (kind := kind_by_name(path.name))}
    if len(kinds) > 1:
        listed = ", ".join(path.name for path in files[:4])
        raise InputError(
            f"the folder holds files of different kinds ({listed}), perhaps the same rows twice",
            where=shown,
            fix="Name the files you mean in [data] path.",
        )
    splits = sorted({split for path in files if (split := split_of(path.relative_to(folder)))})
    if len(splits) > 1:
        raise InputError(
            f"the folder holds {' and '.join(splits)} files; reading all as one would train on held-out rows",
            where=shown,
            fix="Name the training file in [data] path and the others in validation_path and test_path.",
        )
    return [_source(path, _shown(path, base)) for path in files]


def _inside(folder: Path, shown: str) -> Iterator[Path]:
    """All files below a folder. Links to folders are not followed, so a loop of them ends."""

    def refuse(error: OSError) -> None:
        raise InputError(f"a folder in it cannot be read: {_words(error)}", where=shown)

    for parent, _, names in os.walk(folder, onerror=refuse):
        yield from (Path(parent) / name for name in names)


def _source(path: Path, shown: str) -> Source:
    compression = compression_of(path)
    plain = path.with_suffix("") if compression else path
    unread = Source(path, shown, "text", compression)
    try:
        if path.stat().st_size == 0:
            raise InputError("the file is empty", where=shown, fix="Put at least 50 rows into it.")
        stream, raw = open_binary(unread)
        with raw, stream:
            head = stream.read(_HEAD)
        wide = encodings.wide_encoding(head)
        if wide:
            head = head.decode(wide, "ignore").encode()
        kind, note = kind_of(plain.name, head, shown)
        found = replace(unread, kind=kind, note=note)
        return found if kind in ("parquet", "arrow") else _looked_over(found, wide)
    except (OSError, zlib.error) as error:
        if compression and getattr(error, "strerror", None) is None:
            raise InputError(
                f"the file is not {compression} data, or damaged", where=shown, fix="Download it again."
            ) from None
        raise InputError(f"cannot be read: {_words(error)}", where=shown) from None
    except EOFError:
        what = "the compressed file ends too early"
        raise InputError(what, where=shown, fix="Download it again.") from None


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _looked_over(source: Source, wide: str | None) -> Source:
    """A text file with what a look at all of its bytes tells. Raises InputError when it is no text."""
    total = crlf = lf = 0
    for chunk in _chunks(source):
        total += len(chunk)
        if b"\r" in chunk:
            crlf += chunk.count(b"\r\n")
        lf += chunk.count(b"\n")
        if source.compression and total > max(_UNPACKED, _RATIO * source.size_bytes):
            raise InputError(
                f"the file unpacks to more than {_RATIO} times its size, which no text of use does",
                where=source.name,
                fix="Unpack it yourself and look at what is in it.",
            )
    encoding = Encoding(wide) if wide else encodings.encoding_of(lambda: _chunks(source))
    if encoding is None:
        raise InputError(
            "the text is not in UTF-8, and its encoding cannot be told",
            where=source.name,
            fix="Save it as UTF-8 in the program it comes from, or use iconv with its encoding.",
        )
    return replace(source, encoding=encoding, mixed_ends=not wide and 0 < crlf < lf)
