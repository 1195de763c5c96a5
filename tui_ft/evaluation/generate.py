"""Greedy answers and the loss on expected ones. Child processes only: imports torch."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from tui_ft.evaluation.report import Answer
from tui_ft.evaluation.rows import IGNORED, UnseenRow
from tui_ft.models.tokenizer import ChatTokenizer

# A batch holds at most so many rows, and so many tokens with the answers still to come: wide enough to
# keep the processor busy, small enough for the key-value cache of an 8B model (128 KiB a token, 2 GiB).
BATCH_ROWS = 64
BATCH_TOKENS = 16_384
# Logits of one forward pass may take this much memory; long rows of large vocabularies go one by one.
_LOGIT_BYTES = 512 << 20


@dataclass(frozen=True, slots=True)
class Generated:
    """Token ids of one answer, and the stop token that ended it; None at the length limit."""

    ids: tuple[int, ...]
    stop: int | None

    @property
    def stopped(self) -> bool:
        """Whether the answer ended by itself."""
        return self.stop is not None


def greedy(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    stop_ids: Sequence[int],
    pad_id: int,
    max_new_tokens: int,
    progress: Callable[[int], None] = lambda _done: None,
    check: Callable[[], None] = lambda: None,
) -> list[Generated]:
    """The most likely answer to each prompt, token by token, in the order of `prompts`.

    Batches are made by length, padded on the left, and are the same for every model, because batch and
    padding change the last bits of low-precision sums and with them, now and then, a token. `progress`
    is told how many prompts are answered; `check` is called after every token and may raise to stop.
    """
    config = GenerationConfig(
        do_sample=False, max_new_tokens=max_new_tokens, eos_token_id=list(stop_ids), pad_token_id=pad_id
    )
    answers: dict[int, Generated] = {}
    for chosen in batches([len(prompt) for prompt in prompts], extra=max_new_tokens):
        ids, mask = _padded([prompts[i] for i in chosen], pad_id)
        output = model.generate(
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            generation_config=config,
            stopping_criteria=StoppingCriteriaList([_Checked(check)]),
        )
        for i, row in zip(chosen, output[:, ids.shape[1] :].tolist(), strict=True):
            answers[i] = _cut(row, stop_ids)
        progress(len(answers))
    return [answers[i] for i in range(len(prompts))]


class _Checked(StoppingCriteria):  # type: ignore[misc]
    """Never stops an answer; calls `check` after every token."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        self._check()
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)


def batches(lengths: Sequence[int], *, extra: int = 0, tokens: int = BATCH_TOKENS) -> Iterator[list[int]]:
    """Indices in batches of similar length: rows x (longest + extra) stays within `tokens`, or is one row."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        # Sorted by length, so the newcomer is the longest.
        if batch and (len(batch) == BATCH_ROWS or (len(batch) + 1) * (lengths[i] + extra) > tokens):
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _cut(row: Sequence[int], stop_ids: Sequence[int]) -> Generated:
    end = next((i for i, token in enumerate(row) if token in stop_ids), None)
    return Generated(tuple(row[:end]), None if end is None else row[end])


def answer_loss(
    model: Any, rows: Sequence[UnseenRow], *, pad_id: int, check: Callable[[], None] = lambda: None
) -> list[float | None]:
    """Sum of -log p over the answer tokens of each row, in nats; None for rows without any.

    Computed in float32 from the model's logits; batches are limited by the memory the logits take.
    """
    losses: dict[int, float | None] = {}
    vocabulary = int(model.config.get_text_config().vocab_size)
    room = min(BATCH_TOKENS, _LOGIT_BYTES // (4 * vocabulary))
    for chosen in batches([len(row.input_ids) for row in rows], tokens=room):
        check()
        ids, mask = _padded([rows[i].input_ids for i in chosen], pad_id)
        labels, _ = _padded([rows[i].labels for i in chosen], IGNORED)
        first = int((labels != IGNORED).any(dim=0).int().argmax())
        kept = max(2, labels.shape[1] - first + 1)
        logits = forward(model, ids, mask, keep=kept)[:, :-1]
        wanted = labels[:, -logits.shape[1] :].to(logits.device)
        for k, i in enumerate(chosen):
            spots = (wanted[k] != IGNORED).nonzero()[:, 0]
            known = len(spots) > 0
            losses[i] = (
                float(cross_entropy(logits[k, spots].float(), wanted[k, spots], reduction="sum"))
                if known
                else None
            )
    return [losses[i] for i in range(len(rows))]


def forward(model: Any, ids: torch.Tensor, mask: torch.Tensor, *, keep: int = 0) -> torch.Tensor:
    """Logits (rows, keep, vocabulary) of the last `keep` positions, 0 for all, of left-padded rows."""
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    accepted = inspect.signature(plain.forward).parameters
    extra: dict[str, Any] = {}
    if "position_ids" in accepted:
        extra["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0).to(model.device)
    if "logits_to_keep" in accepted:
        extra["logits_to_keep"] = keep
    output = model(
        input_ids=ids.to(model.device), attention_mask=mask.to(model.device), use_cache=False, **extra
    )
    logits: torch.Tensor = output.logits
    return logits[:, -keep:] if keep else logits


def _padded(rows: Sequence[Sequence[int]], fill: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows, filled up on the left, as one (rows, longest) tensor, and the mask of what is not filling."""
    longest = max(map(len, rows))
    values = torch.full((len(rows), longest), fill, dtype=torch.long)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for k, row in enumerate(rows):
        values[k, longest - len(row) :] = torch.tensor(row, dtype=torch.long)
        mask[k, longest - len(row) :] = 1
    return values, mask


def answer_rows(
    model: Any,
    rows: Sequence[UnseenRow],
    tokenizer: ChatTokenizer,
    *,
    max_new_tokens: int,
    progress: Callable[[int], None] = lambda _done: None,
    check: Callable[[], None] = lambda: None,
) -> list[Answer]:
    """Answer and loss of this model for each row; `progress` and `check` as in `greedy`."""
    pad = tokenizer.pad_id if tokenizer.pad_id is not None else tokenizer.stop_ids[0]
    asked = [i for i, row in enumerate(rows) if row.prompt_ids is not None]
    losses = answer_loss(model, rows, pad_id=pad, check=check)
    generated = greedy(
        model,
        [rows[i].prompt_ids or () for i in asked],
        stop_ids=tokenizer.stop_ids,
        pad_id=pad,
        max_new_tokens=max_new_tokens,
        progress=progress,
        check=check,
    )
    said = dict(zip(asked, generated, strict=True))
    return [_answer(said.get(i), loss, tokenizer) for i, loss in enumerate(losses)]


def _answer(said: Generated | None, loss: float | None, tokenizer: ChatTokenizer) -> Answer:
    if said is None:
        return Answer(None, 0, False, loss)
    return Answer(tokenizer.decode(said.ids, skip_special=True), len(said.ids), said.stopped, loss)
