"""Prepared rows as the trainer takes them: cut to length, counted, packed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset
from trl import pack_dataset

from tui_ft.errors import InputError

IGNORED = -100  # the label of a token that is not learned from


@dataclass(frozen=True, slots=True)
class Split:
    """Sequences to train or validate on, and what became of the rows.

    `answer_tokens` counts the tokens that are learned from, `cut` the rows that lost some of them to
    the length limit, `dropped` the rows that lost all.
    """

    sequences: Dataset
    rows: int
    tokens: int
    answer_tokens: int
    cut: int
    dropped: int


def load(path: Path, *, seq_len: int, packing: bool) -> Split:
    """Read a prepared parquet file (row_id, input_ids, labels).

    Rows are cut at `seq_len` tokens; rows without a learned token after that are left out. Raises
    InputError when the file is missing or not of that shape.
    """
    try:
        table = pq.read_table(path, columns=["input_ids", "labels"], memory_map=True)
        ids, labels = (lists(table[name]) for name in ("input_ids", "labels"))
        if not np.array_equal(ids.offsets, labels.offsets):
            raise InputError("a row has more labels than tokens", where=str(path))
    except (OSError, KeyError, pa.ArrowException) as error:
        raise InputError(f"the prepared data cannot be read: {error}", where=str(path)) from None
    begins, ends = ids.offsets[:-1], ids.offsets[1:]
    stops = np.minimum(ends, begins + seq_len)
    learned = np.concatenate(([0], np.cumsum(labels.values != IGNORED)))
    # The first token of a row is never predicted, so its label does not count.
    first = np.minimum(begins + 1, stops)
    kept = learned[stops] - learned[first]
    whole = learned[ends] - learned[np.minimum(begins + 1, ends)]
    use = kept > 0
    sequences = Dataset(
        pa.table(
            {
                "input_ids": ids.slices(begins[use], stops[use]),
                "labels": labels.slices(begins[use], stops[use]),
            }
        )
    )
    if packing and len(sequences):
        sequences = pack_dataset(sequences, seq_len, "bfd")
    return Split(
        sequences=sequences,
        rows=len(begins),
        tokens=int((stops - begins)[use].sum()),
        answer_tokens=int(kept.sum()),
        cut=int(((kept < whole) & use).sum()),
        dropped=int((~use).sum()),
    )


@dataclass(frozen=True, slots=True)
class Lists:
    """A column of lists, flat. `offsets` has one entry more than there are rows."""

    values: np.ndarray[Any, Any]
    offsets: np.ndarray[Any, Any]

    def slices(self, begins: np.ndarray[Any, Any], ends: np.ndarray[Any, Any]) -> pa.Array:
        """The lists between these positions."""
        lengths = ends - begins
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        position = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - begins, lengths)
        return pa.ListArray.from_arrays(
            pa.array(offsets, pa.int32()), pa.array(self.values[position], pa.int64())
        )


def lists(column: pa.ChunkedArray) -> Lists:
    """A column of lists of numbers, flat."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], pa.list_(pa.int64()))
    flat = array.flatten().to_numpy(zero_copy_only=False).astype(np.int64)
    lengths = array.value_lengths().to_numpy(zero_copy_only=False)
    return Lists(flat, np.concatenate(([0], np.cumsum(lengths))).astype(np.int64))
