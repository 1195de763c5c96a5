"""Rows of Parquet and Arrow files, in batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from tui_ft.data.rows import RawRow
from tui_ft.data.sources import Source
from tui_ft.errors import InputError
from tui_ft.text import excerpt

_BATCH = 1024


def rows_of_parquet(file: BinaryIO, source: Source) -> Iterator[RawRow]:
    """Rows of a Parquet file; `line` is the row number. Raises InputError when the file is damaged."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        batches = parquet.ParquetFile(file).iter_batches(batch_size=_BATCH)
        yield from _numbered(batches, source)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(source, error) from None


def rows_of_arrow(file: BinaryIO, source: Source) -> Iterator[RawRow]:
    """Rows of an Arrow file or stream, as `rows_of_parquet`."""
    import pyarrow as pa

    try:
        if file.read(6) == b"ARROW1":
            reader = pa.ipc.open_file(file)
            yield from _numbered((reader.get_batch(i) for i in range(reader.num_record_batches)), source)
        else:
            file.seek(0)
            yield from _numbered(pa.ipc.open_stream(file), source)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(source, error) from None


def _numbered(batches: Any, source: Source) -> Iterator[RawRow]:
    number = 0
    for batch in batches:
        for start in range(0, batch.num_rows, _BATCH):
            for values in batch.slice(start, _BATCH).to_pylist():
                number += 1
                yield RawRow(source.name, number, values)


def _damaged(source: Source, error: Exception) -> InputError:
    return InputError(
        f"the file is damaged: {excerpt(str(error), 100)}",
        where=source.name,
        fix="Download or write it again.",
    )
