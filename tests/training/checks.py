"""Checks on tensors, run in a fork of the zygote so that the test process never loads torch."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import trl.trainer.utils
from datasets import Dataset
from transformers import AutoModelForCausalLM
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling
from trl.trainer.utils import add_fused_lm_head

from tui_ft.errors import ExitCode
from tui_ft.training import worker
from tui_ft.training.dataset import Split, load
from tui_ft.training.dry_run import longest
from tui_ft.training.peak import PeakMeter, asked_bytes
from tui_ft.training.trainer import Trainer, score_learned_positions_only

QUESTION, ANSWER = [1, 20, 21, 22], [30, 31, 32, 33, 2]


def _model(folder: str) -> Any:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    add_fused_lm_head(model)
    return model.eval()


def _split(folder: Path, rows: list[tuple[list[int], list[int]]], **settings: Any) -> Split:
    path = folder / "rows.parquet"
    pq.write_table(
        pa.table({"input_ids": [ids for ids, _ in rows], "labels": [labels for _, labels in rows]}), path
    )
    return load(path, **{"seq_len": 64, "packing": False, **settings})


def _row(question: list[int], answer: list[int]) -> tuple[list[int], list[int]]:
    return question + answer, [-100] * len(question) + answer


def head_scores_learned_positions_only(model_folder: str, scratch: str) -> None:
    """The fused head gives the same losses and gradients with and without the positions not learned from."""
    split = _split(Path(scratch), [_row(QUESTION, ANSWER), _row(QUESTION * 3, ANSWER[:2])])
    batch = DataCollatorForLanguageModeling(pad_token_id=0)(list(split.sequences))
    positions: list[int] = []
    kernel = trl.trainer.utils._ChunkedLogProbFunction

    class Spy:
        @staticmethod
        def apply(hidden: Any, *rest: Any) -> Any:
            positions.append(len(hidden))
            return kernel.apply(hidden, *rest)

    trl.trainer.utils._ChunkedLogProbFunction = Spy
    results = []
    for compact in (False, True):
        if compact:
            score_learned_positions_only()
        model = _model(model_folder)
        out = model(**batch, fused_lm_head=True)
        out.loss.backward()
        results.append((out.log_probs.detach(), model.model.layers[0].self_attn.q_proj.weight.grad))
    assert positions == [2 * (3 * len(QUESTION) + 1), len(ANSWER) + 2]
    torch.testing.assert_close(*(log_probs for log_probs, _ in results))
    torch.testing.assert_close(*(gradient for _, gradient in results))


def packed_documents_do_not_see_each_other(model_folder: str, scratch: str) -> None:
    """Each document in a pack has the losses it has on its own."""
    rows = [_row(QUESTION, ANSWER), _row([1, 40, 41], [50, 51, 2]), _row([1, 60], [61, 62, 63, 64, 2])]
    model = _model(model_folder)
    packed = _split(Path(scratch), rows, seq_len=32, packing=True)
    assert len(packed.sequences) == 1
    collate = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)
    with torch.no_grad():
        together = model(**collate(list(packed.sequences)), fused_lm_head=True)
        alone = [
            model(
                input_ids=torch.tensor([ids]), labels=torch.tensor([labels]), fused_lm_head=True
            ).log_probs.sum()
            for ids, labels in rows
        ]
    assert int(together.label_mask.sum()) == sum(len([x for x in labels if x != -100]) for _, labels in rows)
    torch.testing.assert_close(together.log_probs.sum(), torch.stack(alone).sum(), rtol=1e-5, atol=1e-5)


def rows_are_cut_counted_and_left_out(model_folder: str, scratch: str) -> None:
    """Counts of cut and dropped rows, and what is left of each."""
    rows = [
        _row(QUESTION, ANSWER),  # whole at 9
        _row(QUESTION, ANSWER + ANSWER),  # loses five learned tokens
        _row(QUESTION * 3, ANSWER),  # loses all of them
        ([1, 2, 3], [-100, -100, -100]),  # had none
        ([7, 8], [7, 8]),  # the first token of a row is never predicted
        ([7], [7]),
    ]
    split = _split(Path(scratch), rows, seq_len=9)
    assert (split.rows, split.cut, split.dropped) == (6, 1, 3)
    assert split.answer_tokens == 5 + 5 + 1
    assert split.tokens == 9 + 9 + 2
    assert split.sequences["input_ids"][:] == [QUESTION + ANSWER, QUESTION + ANSWER, [7, 8]]
    assert split.sequences["labels"][1] == [-100] * 4 + ANSWER
    empty = _split(Path(scratch), rows[2:4], seq_len=9)
    assert (len(empty.sequences), empty.dropped) == (0, 2)
    assert len(_split(Path(scratch), rows[2:4], seq_len=9, packing=True).sequences) == 0


def worker_without_gpu_memory(run: str) -> None:
    """A worker whose forward pass ends as it does when the CUDA allocator finds nothing."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 64.00 GiB. GPU 0 has a total capacity of 14.74 GiB of "
            "which 12.12 MiB is free."
        )

    Trainer.compute_loss = refuse
    assert worker.main([run]) == ExitCode.CANNOT_HERE


def worker_with_little_ram(run: str) -> None:
    """A worker with 500 MB of address space left, on rows of 2,000 tokens."""
    row = [1, *range(20, 400)] * 6
    table = pa.table(
        {
            "row_id": [str(number) for number in range(24)],
            "input_ids": pa.array([row[:2000]] * 24, pa.list_(pa.int32())),
            "labels": pa.array([row[:2000]] * 24, pa.list_(pa.int32())),
        }
    )
    pq.write_table(table, Path(run) / "data" / "train.parquet")
    limit = psutil.Process().memory_info().vms + 500_000_000
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    assert worker.main([run]) == ExitCode.CANNOT_HERE


def peak_is_what_was_held_at_once() -> None:
    """The meter counts from where it was made, and sees memory that is gone again."""
    size = 200_000_000
    before = torch.ones(2 * size, dtype=torch.uint8)
    del before
    meter = PeakMeter(torch.device("cpu"))
    resting = psutil.Process().memory_info().rss
    for _ in range(2):
        held = torch.ones(size, dtype=torch.uint8)
        del held
    peak = meter.peak_bytes
    assert peak is not None
    assert 0.9 * size < peak - resting < 1.5 * size
    assert meter.free_bytes > peak
    assert asked_bytes(RuntimeError("DefaultCPUAllocator: you tried to allocate 131072 bytes.")) == 131072
    assert asked_bytes(MemoryError()) == 0


def longest_batch_is_found() -> None:
    """The longest rows wherever they are, padded or laid end to end; answers decide among equals."""
    lengths, learned = [5, 9, 2, 9, 7, 9], [1, 2, 1, 5, 3, 2]
    rows = Dataset.from_dict(
        {
            "input_ids": [[1] * length for length in lengths],
            "labels": [
                [-100] * (length - some) + [1] * some for length, some in zip(lengths, learned, strict=True)
            ],
        }
    )
    batch = longest(rows, 2, padded=True)
    assert batch.indices == [3, 1]
    assert (batch.row_tokens, batch.tokens, batch.batches) == (9, 18, 3)
    assert batch.scored == 7 / 18
    assert 2 * sum(lengths) / 6 < batch.mean_tokens < 18
    packed = longest(rows, 4, padded=False)
    assert packed.indices == [3, 1, 5, 4]
    assert packed.tokens == 9 + 9 + 9 + 7
    assert packed.mean_tokens == 4 * sum(lengths) / 6
    alone = longest(rows.select([2]), 8, padded=True)
    assert (alone.tokens, alone.batches, alone.mean_tokens) == (2, 1, 2)


def worker_with_nan(run: str, step: int, times: int) -> None:
    """A worker whose loss is NaN in the update after `step`, so many times."""
    forward, left = Trainer.compute_loss, [times]

    def spoil(trainer: Any, *args: Any, **kwargs: Any) -> Any:
        loss = forward(trainer, *args, **kwargs)
        if trainer.model.training and trainer.state.global_step == step and left[0]:
            left[0] -= 1
            return loss * float("nan")
        return loss

    Trainer.compute_loss = spoil
    worker.main([run])
