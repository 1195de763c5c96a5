"""Steps and tokens of a run, packing and padding counted."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tui_ft.data.rows import DatasetReport
from tui_ft.planning.batches import steps_per_epoch
from tui_ft.planning.choose import Job
from tui_ft.planning.cost import Work
from tui_ft.planning.plan import TrainPlan


@dataclass(frozen=True, slots=True)
class Tally:
    """How much there is to do."""

    steps: int  # updates of the whole run
    passes: float  # over the training rows
    tokens: int  # the model sees, all passes, without padding
    tokens_per_epoch: int
    rows_per_update: int  # rows, also where several are packed into a sequence
    sequences: int  # rows or packed sequences of one pass

    def work(self, job: Job, train: TrainPlan, validation_rows: int) -> Work:
        """Tokens as the device computes them."""
        per_row = _per_row(job, train)
        per_sequence = float(train.seq_len) if train.packing else per_row
        evaluations = self.steps // max(1, train.eval_every) + 1 if validation_rows else 0
        return Work(
            train_tokens=self.passes * self.sequences * per_sequence,
            eval_tokens=evaluations * validation_rows * per_row,
            row_tokens=train.seq_len * train.micro_batch if train.packing else per_row,
        )


def tally(job: Job, report: DatasetReport, train: TrainPlan, max_steps: int) -> Tally:
    """Count steps and tokens of a plan. Without token lengths every row counts as full length."""
    rows = job.lengths.rows(report.sizes.train, train.seq_len)
    mean = job.lengths.mean(train.seq_len) if job.lengths else float(train.seq_len)
    sequences = job.lengths.sequences(rows, train.seq_len) if train.packing and job.lengths else rows
    per_epoch = steps_per_epoch(sequences, train.micro_batch * train.gpus, train.grad_accum)
    steps = max_steps or math.ceil(train.epochs * per_epoch)
    passes = steps / per_epoch if max_steps else train.epochs
    tokens_per_epoch = round(rows * mean)
    return Tally(
        steps=steps,
        passes=passes,
        tokens=round(passes * tokens_per_epoch),
        tokens_per_epoch=tokens_per_epoch,
        rows_per_update=max(1, round(rows / sequences * train.effective_batch)),
        sequences=sequences,
    )


def _per_row(job: Job, train: TrainPlan) -> float:
    if not job.lengths:
        return float(train.seq_len)
    return job.lengths.padded(train.seq_len, train.micro_batch)
