"""Prepared pairs and verdicts as the trainer takes them: cut to length, counted, each beside its opposite."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from datasets import Dataset
from torch.nn.utils.rnn import pad_sequence

from tui_ft.errors import InputError
from tui_ft.training.dataset import IGNORED, Lists, Split, lists

PAIR_COLUMNS = ("input_ids", "labels", "rejected_ids", "rejected_labels")
VERDICT_COLUMNS = ("input_ids", "labels", "mismatched_ids", "mismatched_labels", "good")
_LOOK_BACK = 16  # rows, for an answer to another question

Kind = Literal["pairs", "verdicts"]
Batch = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Answers:
    """A column of token lists cut at the length limit. All arrays have one entry per row."""

    ids: Lists
    labels: Lists
    begins: np.ndarray[Any, Any]
    stops: np.ndarray[Any, Any]
    kept: np.ndarray[Any, Any]  # learned tokens left
    whole: np.ndarray[Any, Any]  # learned tokens before the cut

    def columns(self, use: np.ndarray[Any, Any]) -> tuple[pa.Array, pa.Array]:
        """Tokens and labels of the rows in use."""
        begins, stops = self.begins[use], self.stops[use]
        return self.ids.slices(begins, stops), self.labels.slices(begins, stops)


def load(path: Path, *, seq_len: int, kind: Kind) -> Split:
    """Read a prepared parquet file of pairs or verdicts; see `data.prepare.Prepared.path`.

    Both answers of a pair are cut at `seq_len` tokens, and a pair of which one has no learned token left
    is left out. A verdict gets `mismatched_ids`: its question with the answer to an earlier row, by which
    KTO estimates how far the model has moved from the reference. Tokens are counted over both answers.

    Raises InputError when the file is missing or not of that shape.
    """
    answers = ("input_ids", "labels")
    others = ("rejected_ids", "rejected_labels") if kind == "pairs" else ("good",)
    try:
        table = pq.read_table(path, columns=[*answers, *others], memory_map=True)
        parts = [_cut(table, *answers, seq_len)]
        if kind == "pairs":
            parts.append(_cut(table, "rejected_ids", "rejected_labels", seq_len))
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise InputError(f"the prepared {kind} cannot be read: {error}", where=str(path)) from None
    use = np.logical_and.reduce([part.kept > 0 for part in parts])
    lost = np.logical_or.reduce([part.kept < part.whole for part in parts])
    columns = [column for part in parts for column in part.columns(use)]
    if kind == "pairs":
        sequences = Dataset(pa.table(dict(zip(PAIR_COLUMNS, columns, strict=True))))
    else:
        good = table["good"].combine_chunks().filter(pa.array(use))
        columns += [*_mismatched(columns[0], columns[1], seq_len), good]
        sequences = Dataset(pa.table(dict(zip(VERDICT_COLUMNS, columns, strict=True))))
    return Split(
        sequences=sequences,
        rows=len(use),
        tokens=int(sum((part.stops - part.begins)[use].sum() for part in parts)),
        answer_tokens=int(sum(part.kept[use].sum() for part in parts)),
        cut=int((lost & use).sum()),
        dropped=int((~use).sum()),
    )


def _cut(table: pa.Table, ids: str, labels: str, seq_len: int) -> _Answers:
    tokens, learned = lists(table[ids]), lists(table[labels])
    if not np.array_equal(tokens.offsets, learned.offsets):
        raise ValueError("a row has more labels than tokens")
    begins, ends = tokens.offsets[:-1], tokens.offsets[1:]
    stops = np.minimum(ends, begins + seq_len)
    count = np.concatenate(([0], np.cumsum(learned.values != IGNORED)))
    # The first token of a row is never predicted, so its label does not count.
    kept = count[stops] - count[np.minimum(begins + 1, stops)]
    whole = count[ends] - count[np.minimum(begins + 1, ends)]
    return _Answers(tokens, learned, begins, stops, kept, whole)


def _mismatched(ids: pa.Array, labels: pa.Array, seq_len: int) -> tuple[pa.Array, pa.Array]:
    """Each question with the answer of the row before it, or of an earlier one when both ask the same."""
    rows = [np.asarray(row) for row in ids.to_pylist()]
    first = [int(np.argmax(np.asarray(row) != IGNORED)) for row in labels.to_pylist()]
    questions = [row[:begin].tobytes() for row, begin in zip(rows, first, strict=True)]
    tokens: list[np.ndarray[Any, Any]] = []
    learned: list[np.ndarray[Any, Any]] = []
    for i, row in enumerate(rows):
        before = range(i - 1, i - 1 - min(_LOOK_BACK, len(rows)), -1)
        other = next((j for j in before if questions[j] != questions[i]), i - 1)
        answer = rows[other][first[other] :][: max(0, seq_len - first[i])]
        tokens.append(np.concatenate((row[: first[i]], answer)))
        learned.append(np.concatenate((np.full(first[i], IGNORED), answer)))
    kind = pa.list_(pa.int64())
    return pa.array(tokens, kind), pa.array(learned, kind)


@dataclass(frozen=True, slots=True)
class Collator:
    """Rows to a batch, padded on the right to its longest.

    Pairs: `input_ids`, `attention_mask` and `labels` of shape (2 x rows, tokens), the chosen answers first.
    Verdicts: the same of shape (rows, tokens), again with the prefix `mismatched_`, and `good` (rows).
    """

    pad_id: int
    kind: Kind

    def __call__(self, rows: list[dict[str, Any]]) -> Batch:
        chosen = [(row["input_ids"], row["labels"]) for row in rows]
        if self.kind == "pairs":
            return self._padded(chosen + [(row["rejected_ids"], row["rejected_labels"]) for row in rows])
        others = self._padded([(row["mismatched_ids"], row["mismatched_labels"]) for row in rows])
        return {
            **self._padded(chosen),
            **{f"mismatched_{key}": value for key, value in others.items()},
            "good": torch.tensor([row["good"] for row in rows]),
        }

    def _padded(self, rows: list[tuple[list[int], list[int]]]) -> Batch:
        ids, labels = zip(*rows, strict=True)
        return {
            "input_ids": _pad(ids, self.pad_id),
            "attention_mask": _pad([[1] * len(row) for row in ids], 0),
            "labels": _pad(labels, IGNORED),
        }


def _pad(rows: Any, value: int) -> torch.Tensor:
    return pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=value)
