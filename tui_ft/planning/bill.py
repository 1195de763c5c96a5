"""What a decided plan takes: time and money by part, the same at a managed API, disk by file system."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tui_ft.data.rows import DatasetReport
from tui_ft.models.facts import ModelFacts
from tui_ft.planning import cost, disk, managed
from tui_ft.planning.box import Box
from tui_ft.planning.choose import Job
from tui_ft.planning.plan import Costs, DiskNeed, ManagedCost, MemoryEstimate, MethodPlan, Range, TrainPlan
from tui_ft.planning.search import Subject
from tui_ft.planning.tally import Tally
from tui_ft.recipe import Recipe

_SHARE_KEPT = 0.9  # of the speed several GPUs would have without exchanging gradients; not measured by us


@dataclass(frozen=True, slots=True)
class Bill:
    """The figures of a plan. `time_s` and `money` are those of the run, `money` at a price of the user's."""

    time_s: Range | None
    time_basis: str
    money: Range | None
    costs: Costs
    managed: tuple[ManagedCost, ...]
    disks: tuple[DiskNeed, ...]
    warnings: tuple[str, ...]  # of disks that are too small

    @property
    def disk_bytes(self) -> int:
        """Needed where runs are kept."""
        return self.disks[0].needed_bytes

    @property
    def disk_free_bytes(self) -> int | None:
        """Free where runs are kept."""
        return self.disks[0].free_bytes


def bill(
    recipe: Recipe,
    model: ModelFacts,
    report: DatasetReport,
    box: Box,
    known: Subject,
    job: Job,
    method: MethodPlan,
    train: TrainPlan,
    memory: MemoryEstimate,
    counts: Tally,
) -> Bill:
    """Everything a plan takes besides memory. Pure, well below a millisecond."""
    active = cost.active_weights(known.dims, known.parameters, known.model_type)
    checkpoint, weights = disk.checkpoint_bytes(known.dims, job.parameters, known.model_type, method, train)
    work = replace(
        counts.work(job, train, report.sizes.validation),
        passes=counts.passes,
        evaluations=counts.steps // max(1, train.eval_every) + 1 if report.sizes.validation else 0,
    )
    if train.gpus > 1 and box.device == "cuda":
        # The processes of a box without a GPU share its cores.
        share = _SHARE_KEPT * train.gpus
        work = replace(work, train_tokens=work.train_tokens / share, eval_tokens=work.eval_tokens / share)
    taken = cost.spent(
        box, known.dims, job.parameters, active, method, train, work, checkpoint_bytes=checkpoint
    )
    final = cost.answering(
        box,
        known.dims,
        job.parameters,
        active,
        method,
        train,
        _answers(recipe, report, job, train),
        memory.weights,
    )
    price = cost.price_of(box, recipe.limits.price_per_hour)
    parts = {
        disk.RUNS: disk.run_parts(
            checkpoint,
            weights,
            job.parameters,
            train,
            recipe.export.to,
            counts.tokens_per_epoch,
            full=method.name == "full",
        ),
        disk.CACHE: _download(model, job.parameters),
    }
    needs = disk.per_mount(box.mounts, parts)
    return Bill(
        time_s=taken.run,
        time_basis=taken.basis,
        money=cost.money(taken.run, recipe.limits.price_per_hour),
        costs=cost.itemised(taken, final, price),
        managed=managed.compare(counts.tokens, job.parameters) if job.objective == "sft" else (),
        disks=needs,
        warnings=tuple(disk.warnings(needs, box.mounts, keep=train.keep_checkpoints, checkpoint=checkpoint)),
    )


def _answers(recipe: Recipe, report: DatasetReport, job: Job, train: TrainPlan) -> cost.Answers:
    """What the final evaluation asks: test rows, or those for validation where none are held out."""
    lengths, unseen = report.lengths, report.sizes.test or report.sizes.validation
    known = lengths is not None and bool(lengths.lengths)
    row_tokens, answer_tokens = float(train.seq_len), train.seq_len / 4
    if lengths is not None and known:
        row_tokens = min(float(train.seq_len), lengths.total_tokens / len(lengths.lengths))
        answer_tokens = min(row_tokens, lengths.answer_tokens / len(lengths.lengths))
    return cost.Answers(
        rows=min(unseen, recipe.evaluate.max_rows),
        row_tokens=row_tokens,
        answer_tokens=0.0 if job.plain_text else answer_tokens,
        limit=recipe.evaluate.max_new_tokens,
    )


def _download(model: ModelFacts, parameters: int) -> dict[str, int]:
    needed = disk.download_bytes(model, parameters)
    return {"download": needed} if needed else {}
