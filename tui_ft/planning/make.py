"""From what is known to a plan: model, data, box and what the user wrote. Pure, some milliseconds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from tui_ft.data.rows import DatasetReport
from tui_ft.errors import InputError
from tui_ft.hardware.facts import Hardware
from tui_ft.models.facts import ModelFacts
from tui_ft.planning import anatomy, cautions, choose, conflicts, relief, ways
from tui_ft.planning.bill import bill
from tui_ft.planning.box import Box, of_hardware
from tui_ft.planning.calibration import Measurement, on
from tui_ft.planning.case import Case
from tui_ft.planning.choose import Job
from tui_ft.planning.memory import estimate
from tui_ft.planning.plan import (
    UNDECIDED,
    Fit,
    FitPlan,
    MemoryEstimate,
    MethodPlan,
    Plan,
    Reason,
    Strategy,
    TrainPlan,
)
from tui_ft.planning.record import Record
from tui_ft.planning.search import Option, Subject, Target, Wish, best, first_that_fits
from tui_ft.planning.settle import settle_method, settle_several, settle_steps, settle_train
from tui_ft.planning.tally import tally
from tui_ft.recipe import MethodName, Recipe, options

FULL_FROM_ROWS = 100_000


def make(
    recipe: Recipe,
    model: ModelFacts,
    report: DatasetReport,
    hardware: Hardware,
    *,
    calibration: Sequence[Measurement] = (),
) -> Plan:
    """Every choice a run needs, with reasons, memory, time, money and disk.

    What the recipe pins is kept. Raises InputError, with every problem, when pinned values contradict each
    other, the data cannot serve the objective, or nothing is known of the model's size. A plan that does
    not fit is returned as such (`fits`), with the ways out as `relief` and among its warnings.
    `calibration` is what dry runs measured, on whatever device; see calibration.load.
    """
    return make_on(measured(hardware, calibration), recipe, model, report)


def measured(hardware: Hardware, calibration: Sequence[Measurement]) -> Box:
    """The box a run would use, with what dry runs measured on it."""
    box = of_hardware(hardware)
    return replace(box, measured=on(calibration, box.name, box.device, box.cores))


def make_on(box: Box, recipe: Recipe, model: ModelFacts, report: DatasetReport) -> Plan:
    """Like `make`, on a box that may exist only in the catalogue."""
    case = Case.of(box, model, report)
    plan = decide(case, recipe)
    steps = relief.steps(case, recipe, plan, decide, fits) if plan.fits in ("tight", "wont_fit") else ()
    return replace(
        plan,
        relief=steps,
        alternatives=ways.alternatives(case, recipe, plan, decide),
        larger=ways.larger(case, recipe, plan, decide),
        warnings=(*cautions.of_memory(box, plan, steps), *plan.warnings),
        on_gpu=_on_gpu(plan, subject(model)) if box.device == "cpu" else None,
    )


def _on_gpu(plan: Plan, known: Subject) -> MemoryEstimate:
    """What the settings of a plan for a processor would need on a GPU, to know which one to rent."""
    return estimate(
        known.dims,
        known.parameters,
        plan.method,
        plan.train,
        device="cuda",
        model_type=known.model_type,
        scored=plan.memory.scored,
        guessed_dims=known.guessed_dims,
    )


def decide(case: Case, recipe: Recipe) -> Plan:
    """The plan without what else could be done. Raises like `make`."""
    box, model, report = case.box, case.model, case.report
    record = Record(recipe)
    record.warnings += conflicts.check(recipe, model, report, box)
    known = subject(model)
    job = _job(recipe, case, known.size)
    wish, option = _search(record, case, job, known)
    lora = _lora(wish, option)

    method = settle_method(record, job, option, lora)
    train = settle_train(record, job, wish, option)
    settle_several(record, box, train)
    counts = tally(job, report, train, recipe.train.max_steps)
    train = settle_steps(record, train, method, counts, report.sizes.validation)
    figures = bill(recipe, model, report, box, known, job, method, train, option.memory, counts)
    record.warnings += cautions.of_cuts(wish, option)
    record.warnings += [*cautions.of_limits(recipe, figures.time_s, figures.money), *figures.warnings]
    return Plan(
        name=recipe.name or _name(report.paths, model.id),
        model_id=recipe.model.id,
        model_folder=str(model.folder) if model.folder and model.has_weights else "",
        device=box.device,
        device_name=box.name,
        method=method,
        train=train,
        rows_train=report.sizes.train,
        rows_validation=report.sizes.validation,
        rows_test=report.sizes.test,
        steps=counts.steps,
        tokens=counts.tokens,
        memory=option.memory,
        memory_available_bytes=box.memory_bytes,
        fits=option.fits,
        time_s=figures.time_s,
        money=figures.money,
        disk_bytes=figures.disk_bytes,
        disk_free_bytes=figures.disk_free_bytes,
        reasons=_in_order(record),
        several=_several(wish, option),
        warnings=tuple(record.warnings),
        time_basis=figures.time_basis,
        costs=figures.costs,
        managed=figures.managed,
        disks=figures.disks,
    )


def fits(case: Case, recipe: Recipe) -> Fit:
    """Whether `decide` would find a plan that fits, without making it. Raises like `make`."""
    record = Record(recipe)
    conflicts.check(recipe, case.model, case.report, case.box)
    known = subject(case.model)
    return _search(record, case, _job(recipe, case, known.size), known)[1].fits


def _search(record: Record, case: Case, job: Job, known: Subject) -> tuple[Wish, Option]:
    wish = _wish(record, job, case.box, known, case.report)
    names = _methods(record, job, case.box, case.model)
    return wish, first_that_fits(wish, names, _lengths(record, job, case.box))


def subject(model: ModelFacts) -> Subject:
    """The model as the memory formula wants it. Raises InputError when its size is unknown."""
    if model.dims is not None:
        return Subject(model.dims, model.parameters, model.model_type)
    if not model.parameters:
        raise InputError(
            "neither layers nor parameters of this model are known",
            where=model.id,
            fix="Choose a model with a config.json and safetensors weights.",
        )
    return Subject(anatomy.typical(model.parameters), model.parameters, model.model_type, guessed_dims=True)


def _job(recipe: Recipe, case: Case, parameters: int) -> Job:
    objective, report = recipe.method.objective, case.report
    return Job(
        objective=objective,
        rows=report.sizes.train,
        answers=report.answers_look_like,
        parameters=parameters,
        context_length=case.model.context_length,
        lengths=case.lengths,
        plain_text=objective == "cpt" or report.mapping.shape == "text",
    )


def _wish(record: Record, job: Job, box: Box, known: Subject, report: DatasetReport) -> Wish:
    """What is settled before the search, and what the user pinned."""
    given = record.given
    rank = given("method.rank") or choose.rank(job, "lora").value
    dropout = given("method.dropout")
    targets = given("method.targets")
    loss_on = choose.loss_on(job).value if job.plain_text else given("train.loss_on")
    gpus = conflicts.together(given("train.gpus"), box)
    if box.device == "cpu" and gpus > 1 and box.memory_bytes is not None:
        box = replace(box, memory_bytes=box.memory_bytes // gpus)  # every process has a copy of its own
    method = MethodPlan(
        name="lora",
        objective=job.objective,
        rank=rank,
        alpha=given("method.alpha") or choose.alpha(rank).value,
        dropout=choose.dropout(job, "lora").value if dropout is None else dropout,
        targets=targets if isinstance(targets, str) else tuple(targets),
        rslora=given("method.rslora"),
        good_weight=given("method.good_weight"),
        bad_weight=given("method.bad_weight"),
        continue_from=given("method.continue_from"),
    )
    return Wish(
        subject=known,
        box=box,
        method=method,
        train=replace(_open_train(record, loss_on), gpus=gpus, strategy="ddp" if gpus > 1 else "single"),
        rows_per_update=max(1, choose.effective_batch(job).value // gpus),
        gpus=gpus,
        lengths=job.lengths,
        scored=_scored(report, loss_on),
        rank=given("method.rank"),
        alpha=given("method.alpha"),
        micro_batch=given("train.micro_batch"),
        grad_accum=given("train.grad_accum"),
        gradient_checkpointing=given("train.gradient_checkpointing"),
        optimizer=None if given("train.optimizer") == "auto" else given("train.optimizer"),
        precision=None if given("train.precision") == "auto" else given("train.precision"),
    )


def _open_train(record: Record, loss_on: str) -> TrainPlan:
    """[train] with what the recipe settles; the rest is replaced by the search and after it."""
    given = record.given
    return replace(
        UNDECIDED,
        loss_on="all" if loss_on == "all" else "answers",
        **{
            key: given(f"train.{key}")
            for key in (
                "schedule",
                "weight_decay",
                "max_grad_norm",
                "seed",
                "save_every_minutes",
                "keep_checkpoints",
                "group_by_length",
                "neftune_alpha",
            )
        },
    )


def _scored(report: DatasetReport, loss_on: str) -> float:
    """Largest share of a batch that is learned from: twice the mean, for batches with long answers."""
    if loss_on == "all" or not report.lengths or not report.lengths.total_tokens:
        return 1.0
    return max(0.01, min(1.0, 2 * report.lengths.answer_tokens / report.lengths.total_tokens))


def _methods(record: Record, job: Job, box: Box, model: ModelFacts) -> list[MethodName]:
    """Methods to try, best first."""
    pinned: MethodName | None = record.given("method.name")
    if pinned:
        return [pinned]
    if model.quantized:
        return ["qlora"]
    continued = record.given("method.continue_from")
    if box.device == "cuda" and job.rows >= FULL_FROM_ROWS and not (job.preference or continued):
        return ["full", "lora", "qlora"]
    return ["lora", "qlora"]


def _lengths(record: Record, job: Job, box: Box) -> list[list[tuple[int, bool]]]:
    """Lengths to try, each packed or not, in groups that keep equally many rows whole, best first."""
    asked = record.given("train.packing")
    packed = choose.packing(job, box).value if asked == "auto" else asked == "on"
    both = [True, False] if packed and asked == "auto" and job.lengths else [packed]
    if record.pinned("train.seq_len"):
        return [[(record.given("train.seq_len"), packing) for packing in both]]
    tried = [
        (choice.value, packing) for packing in both for choice in choose.lengths(job, box, packed=packing)
    ]
    cut = {length: job.lengths.cut(length) for length, _ in tried}
    tried.sort(key=lambda length: cut[length[0]])  # stable: packed ones stay first
    return [list(group) for _, group in groupby(tried, key=lambda length: cut[length[0]])]


def _lora(wish: Wish, option: Option) -> Option | None:
    """What LoRA would have needed, where QLoRA was taken."""
    if option.method.name != "qlora":
        return None
    return best(wish, Target("lora", option.train.seq_len, option.train.packing, option.method.rank))


def _several(wish: Wish, option: Option) -> tuple[FitPlan, ...]:
    """What each GPU of the box would hold if all trained together: a copy each, or shards."""
    gpus = wish.box.gpus
    if gpus == 1 or wish.gpus > 1:
        return ()
    shared = replace(wish, gpus=gpus, rows_per_update=max(1, wish.rows_per_update // gpus))
    target = Target(option.method.name, option.train.seq_len, option.train.packing, option.method.rank)
    sharing: tuple[Strategy, ...] = ("ddp", "fsdp")
    return tuple(
        best(replace(shared, strategy=strategy), target).row(
            wish.box.device,
            [
                "on each GPU, if all are like this one",
                "train.gpus takes them" if strategy == "ddp" else "not built yet",
            ],
            strategy=strategy,
            title=f"{gpus} GPUs, {strategy}",
            changes={"train.gpus": gpus} if strategy == "ddp" and wish.box.alike == gpus else {},
        )
        for strategy in sharing
    )


def _name(paths: tuple[str, ...], model_id: str) -> str:
    """A name for a run that has none: the data's and the model's."""
    data = re.split(r"[/:]", paths[0])[-1].partition(".")[0] if paths else "run"
    model = model_id.rstrip("/").rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", f"{data}-{model}")[:64].strip("-")


def _in_order(record: Record) -> tuple[Reason, ...]:
    """The reasons in the order of the recipe's keys."""
    order = {key: position for position, (key, _) in enumerate(options())}
    return tuple(sorted(record.reasons, key=lambda reason: order[reason.key]))
