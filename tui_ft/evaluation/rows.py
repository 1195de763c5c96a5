"""The unseen rows of a run, ready to be answered: prompts, expected answers and learned tokens."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tui_ft.data.layout import prompt_text
from tui_ft.data.rows import Message
from tui_ft.errors import InputError
from tui_ft.models.tokenizer import ChatTokenizer
from tui_ft.runs.folder import RunFolder
from tui_ft.text import count, excerpt

IGNORED = -100  # label of a token that carries no loss, as in PyTorch's cross entropy
Split = Literal["test", "validation"]


@dataclass(frozen=True, slots=True)
class UnseenRow:
    """A row neither model was trained on.

    `input_ids` and `labels` have the same length and are those of training. `prompt_ids` is None for
    rows without an answer to generate (plain text).
    """

    row_id: str
    file: str
    line: int
    input_ids: tuple[int, ...]
    labels: tuple[int, ...]
    prompt_text: str  # what the model is given to answer; "" when there is nothing to answer
    prompt_ids: tuple[int, ...] | None
    prompt: str  # the last user message, for people
    reference: str
    messages: tuple[Message, ...]

    @property
    def answer_tokens(self) -> int:
        """Tokens the loss is measured on; the first token of a row is never predicted."""
        return sum(label != IGNORED for label in self.labels[1:])

    @property
    def system(self) -> str:
        """The system prompt, "" without one."""
        return _last(self.messages[:1], "system")


@dataclass(frozen=True, slots=True)
class UnseenRows:
    """The rows to evaluate on, and what a reader of the result should know about them."""

    rows: tuple[UnseenRow, ...]
    split: Split
    available: int
    notes: tuple[str, ...] = ()


def read(
    folder: RunFolder, tokenizer: ChatTokenizer, *, seq_len: int, most: int, seed: int = 0
) -> UnseenRows:
    """At most `most` rows of the test split, else of the validation split, in their order.

    Tokens beyond `seq_len` are left out, as in training. Raises InputError when the run has neither split.
    """
    split, records = _held_back(folder)
    notes = []
    if split == "validation":
        notes.append(
            "There is no test split. The validation rows chose the checkpoint, "
            "so the result is a little rosy."
        )
    chosen = sorted(random.Random(seed).sample(range(len(records)), min(most, len(records))))
    if len(chosen) < len(records):
        notes.append(f"{len(chosen)} of {len(records)} rows, drawn by the seed (evaluate.max_rows).")
    rows = tuple(_row(records[i], tokenizer, seq_len) for i in chosen)
    differing = sum(not _continues(row) for row in rows)
    if differing:
        notes.append(
            f"In {count(differing, 'row')} the chat template writes the prompt differently with and without "
            "the answer; the model may meet other prompts in use than in training."
        )
    return UnseenRows(rows, split, len(records), tuple(notes))


def sample(
    folder: RunFolder, tokenizer: ChatTokenizer, *, seq_len: int, most: int, seed: int = 0
) -> tuple[UnseenRow, ...]:
    """A few rows to try a model on; rows of training when nothing was held back. May be empty."""
    records = next(
        (found for split in ("test", "validation", "train") if (found := _records(folder, split))), []
    )
    chosen = sorted(random.Random(seed).sample(range(len(records)), min(most, len(records))))
    return tuple(_row(records[i], tokenizer, seq_len) for i in chosen)


def _held_back(folder: RunFolder) -> tuple[Split, list[dict[str, Any]]]:
    splits: tuple[Split, ...] = ("test", "validation")
    for split in splits:
        if records := _records(folder, split):
            return split, records
    raise InputError(
        "this run held back no rows, so there is nothing unseen to evaluate on",
        where=str(folder.data),
        fix="Set test = 0.1 under [data] in the recipe, or name a test_path, and train again.",
    )


def _records(folder: RunFolder, split: str) -> list[dict[str, Any]]:
    import pyarrow.parquet as parquet

    path = folder.data / f"{split}.parquet"
    if not path.is_file():
        return []
    try:
        records: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    except (OSError, ValueError) as error:
        raise InputError(
            f"the prepared rows cannot be read: {excerpt(str(error), 100)}",
            where=str(path),
            fix="Train again from the run's recipe.toml.",
        ) from None
    # An answer marked as bad is nothing to be compared with.
    return [record for record in records if record.get("good") is not False]


def _row(record: Mapping[str, Any], tokenizer: ChatTokenizer, seq_len: int) -> UnseenRow:
    messages: list[Message] = json.loads(record.get("messages") or "[]")
    answered = bool(messages) and messages[-1].get("role") == "assistant"
    before = messages[:-1] if answered else messages
    text = ""
    if answered and before:
        text = prompt_text(before, tokenizer, json.loads(record.get("tools") or "[]"))
    return UnseenRow(
        row_id=str(record["row_id"]),
        file=str(record.get("file", "")),
        line=int(record.get("line") or 0),
        input_ids=tuple(record["input_ids"][:seq_len]),
        labels=tuple(record["labels"][:seq_len]),
        prompt_text=text,
        prompt_ids=tuple(tokenizer.encode(text)[0]) if text else None,
        prompt=_last(before, "user"),
        reference=messages[-1].get("content", "") if answered else "",
        messages=tuple(messages),
    )


def _last(messages: Sequence[Message], role: str) -> str:
    return next((turn.get("content", "") for turn in reversed(messages) if turn.get("role") == role), "")


def _continues(row: UnseenRow) -> bool:
    """True when training's tokens begin with the prompt that the model is asked now."""
    prompt = row.prompt_ids or ()
    return row.input_ids[: len(prompt)] == prompt[: len(row.input_ids)]
