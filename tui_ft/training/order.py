"""The order of rows, where it is not simply random."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import Sampler
from transformers.trainer_pt_utils import get_length_grouped_indices


class ByLength(Sampler[int]):  # type: ignore[misc]
    """Rows of similar length follow each other, so that a batch holds little padding.

    Rows are shuffled, cut into stretches of 50 updates and sorted by length in each of them; the longest row
    of all comes first. The order depends on seed and epoch alone, so that a resumed run has the same one.
    """

    def __init__(self, rows: Any, *, rows_per_update: int, seed: int) -> None:
        self._lengths = lengths(rows)
        self._rows_per_update = rows_per_update
        self._seed = seed
        self._epoch = 0

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed + self._epoch)
        yield from get_length_grouped_indices(self._lengths, self._rows_per_update, generator=generator)

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader before each pass."""
        self._epoch = epoch


def lengths(rows: Any) -> list[int]:
    """Tokens of each row; a pair is as long as its longer answer."""
    table = rows.with_format("arrow")[:]
    names = [name for name in ("input_ids", "rejected_ids") if name in table.column_names]
    columns = (table[name].combine_chunks().value_lengths().to_pylist() for name in names)
    return [max(row) for row in zip(*columns, strict=True)]
