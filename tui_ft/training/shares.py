"""Which rows each of several processes computes: every row once per pass, in the order of one process.

Micro-batch k of an epoch goes to process k mod n, so that an update is made of the same rows as in one
process that adds up n times as many. Rows that are missing in the last micro-batches are filled with two
tokens of which nothing is learned; they change neither loss nor gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import datasets
import pyarrow as pa
import torch
import torch.distributed as dist
from datasets import Dataset
from torch.utils.data import DataLoader, Sampler

from tui_ft.training.dataset import IGNORED

_FILLER_TOKENS = 2


def filled(sequences: Dataset, micro_batch: int, processes: int) -> Dataset:
    """The sequences and as many fillers as make the micro-batches of all processes equally many and full."""
    missing = -len(sequences) % (micro_batch * processes)
    if not missing:
        return sequences
    first = sequences.with_format("arrow")[:1]
    ids = first["input_ids"][0].as_py()[:_FILLER_TOKENS]
    row: dict[str, Any] = {"input_ids": ids, "labels": [IGNORED] * len(ids)}
    if "seq_lengths" in first.column_names:
        row["seq_lengths"] = [len(ids)]
    table = pa.Table.from_pylist([row] * missing, schema=first.schema)
    return datasets.concatenate_datasets([sequences, Dataset(table)])


class Order(Sampler[int]):  # type: ignore[misc]
    """The order of one epoch: the rows as one process would shuffle them, then the fillers.

    accelerate seeds its `SeedableRandomSampler` with seed + epoch; so does this.
    """

    def __init__(self, rows: int, with_fillers: int, seed: int) -> None:
        self._rows = rows
        self._all = with_fillers
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the training loop at the start of an epoch."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator()
        generator.manual_seed(self._seed + self._epoch)
        yield from torch.randperm(self._rows, generator=generator).tolist()
        yield from range(self._rows, self._all)

    def __len__(self) -> int:
        return self._all


def evaluation(trainer: Any) -> DataLoader[Any]:
    """This process's share of the validation rows: as many batches in every process."""
    size = trainer.args.per_device_eval_batch_size
    rank, processes = dist.get_rank(), dist.get_world_size()
    rows = trainer.eval_dataset
    batches = [list(range(at, min(at + size, len(rows)))) for at in range(0, len(rows), size)]
    while len(batches) % processes:
        batches.append([len(rows)])
    # At least one filler, whose index is the first behind the rows.
    spare = filled(rows, len(rows) + 1, 1)
    columns = [name for name in spare.column_names if name in ("input_ids", "labels", "seq_lengths")]
    return DataLoader(
        spare.select_columns(columns),
        batch_sampler=batches[rank::processes],
        collate_fn=trainer.data_collator,
    )
