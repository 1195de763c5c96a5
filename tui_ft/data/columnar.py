"""Rows of Parquet and Arrow files, in batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from tui_ft.data.rows import RawRow
from tui_ft.data.sources import Source
from tui_ft.errors import InputError
from tui_ft.text import excerpt

_BATCH = 1024
_DAMAGES = (OSError, ValueError, MemoryError, OverflowError)


def rows_of_parquet(file: BinaryIO, source: Source) -> Iterator[RawRow]:
    """Rows of a Parquet file; `line` is the row number. Raises InputError when the file is damaged."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        batches = parquet.ParquetFile(file).iter_batches(batch_size=_BATCH)
    except (pa.ArrowException, *_DAMAGES) as error:
        raise _damaged(source, error) from None
    yield from _numbered(batches, source)


def rows_of_arrow(file: BinaryIO, source: Source) -> Iterator[RawRow]:
    """Rows of an Arrow file or stream, as `rows_of_parquet`."""
    import pyarrow as pa

    try:
        if file.read(6) == b"ARROW1":
            reader = pa.ipc.open_file(file)
            batches = map(reader.get_batch, range(reader.num_record_batches))
        else:
            file.seek(0)
            batches = iter(pa.ipc.open_stream(file))
    except (pa.ArrowException, *_DAMAGES) as error:
        raise _damaged(source, error) from None
    yield from _numbered(batches, source)


def _numbered(batches: Iterator[Any], source: Source) -> Iterator[RawRow]:
    import pyarrow as pa

    pieces = (
        piece.to_pylist()
        for batch in map(_sound, batches)
        for piece in (batch.slice(start, _BATCH) for start in range(0, batch.num_rows, _BATCH))
    )
    number = 0
    while True:
        try:
            # Text that is not UTF-8 only shows when it is turned into Python's.
            rows = next(pieces, None)
        except (pa.ArrowException, *_DAMAGES) as error:
            raise _damaged(source, error, number) from None
        if rows is None:
            return
        for values in rows:
            number += 1
            yield RawRow(source.name, number, values)


def _sound(batch: Any) -> Any:
    """A batch whose offsets point into it: a damaged one would take the whole process down when read."""
    batch.validate(full=True)
    return batch


def _damaged(source: Source, error: Exception, after: int = 0) -> InputError:
    place = f" after row {after:,}" if after else ""
    return InputError(
        f"the file is damaged{place}: {excerpt(str(error), 100)}",
        where=source.name,
        fix="Download or write it again.",
    )
