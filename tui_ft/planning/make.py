"""From what is known to a plan: model, data, box and what the user wrote. Pure, some milliseconds."""

from __future__ import annotations

import re

from tui_ft.data.rows import DatasetReport
from tui_ft.errors import InputError
from tui_ft.hardware.facts import Hardware
from tui_ft.models.facts import ModelFacts
from tui_ft.planning import anatomy, cautions, choose, conflicts, cost
from tui_ft.planning.box import Box, of_hardware
from tui_ft.planning.choose import Choice, Job
from tui_ft.planning.plan import FitPlan, MethodPlan, Plan, Reason, TrainPlan
from tui_ft.planning.record import Record
from tui_ft.planning.search import Option, Subject, Wish, best, first_that_fits
from tui_ft.planning.settle import settle_method, settle_steps, settle_train
from tui_ft.planning.tally import tally
from tui_ft.recipe import MethodName, Recipe, options

SAMPLE = 1_000  # lengths looked at when there are many
FULL_FROM_ROWS = 100_000


def make(recipe: Recipe, model: ModelFacts, report: DatasetReport, hardware: Hardware) -> Plan:
    """Every choice a run needs, with reasons, memory, time, money and disk.

    What the recipe pins is kept. Raises InputError, with every problem, when pinned values contradict each
    other, the data cannot serve the objective, or nothing is known of the model's size. A plan that does
    not fit is returned as such (`fits`), with the ways out among its warnings.
    """
    return make_on(of_hardware(hardware), recipe, model, report)


def make_on(box: Box, recipe: Recipe, model: ModelFacts, report: DatasetReport) -> Plan:
    """Like `make`, on a box that may exist only in the catalogue."""
    record = Record(recipe)
    record.warnings += conflicts.check(recipe, model, report, box)
    known = subject(model)
    job = _job(recipe, report, model, known.size)
    wish = _wish(record, job, box, known, report)
    lengths = _lengths(record, job, wish)
    names = _methods(record, job, box, model)
    option = first_that_fits(wish, names, [length.value for length in lengths])
    alternatives = _alternatives(wish, option, names)

    method = settle_method(record, job, option, alternatives)
    train = settle_train(record, job, wish, option, lengths)
    counts = tally(job, report, train, recipe.train.max_steps)
    train = settle_steps(record, train, method, counts, report.sizes.validation)
    work = counts.work(job, train, report.sizes.validation)
    active = cost.active_weights(known.dims, known.parameters, known.model_type)
    time_s, basis = cost.time(box, known.dims, job.parameters, active, method, train, work)
    money = cost.money(time_s, recipe.limits.price_per_hour)
    disk = cost.disk(
        known.dims,
        job.parameters,
        known.model_type,
        method,
        train,
        list(recipe.export.to),
        counts.tokens_per_epoch,
    )
    record.warnings += cautions.of_memory(wish, option, job)
    record.warnings += cautions.of_cuts(wish, option, report)
    record.warnings += cautions.of_cost(recipe, box, time_s, money, disk)
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
        time_s=time_s,
        money=money,
        disk_bytes=disk,
        disk_free_bytes=box.runs_free_bytes,
        reasons=_in_order(record),
        warnings=tuple(record.warnings),
        time_basis=basis,
        alternatives=alternatives,
    )


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


def _job(recipe: Recipe, report: DatasetReport, model: ModelFacts, parameters: int) -> Job:
    objective = recipe.method.objective
    ordered = sorted(report.lengths.lengths) if report.lengths else []
    step = max(1, len(ordered) // SAMPLE)
    return Job(
        objective=objective,
        rows=report.sizes.train,
        answers=report.answers_look_like,
        parameters=parameters,
        context_length=model.context_length,
        lengths=tuple(ordered[step // 2 :: step]),
        longest=ordered[-1] if ordered else 0,
        plain_text=objective == "cpt" or report.mapping.shape == "text",
    )


def _wish(record: Record, job: Job, box: Box, known: Subject, report: DatasetReport) -> Wish:
    """What is settled before the search, and what the user pinned."""
    given = record.given
    rank = given("method.rank") or choose.rank(job, "lora").value
    dropout = given("method.dropout")
    packing = given("train.packing")
    targets = given("method.targets")
    loss_on = choose.loss_on(job).value if job.plain_text else given("train.loss_on")
    method = MethodPlan(
        name="lora",
        objective=job.objective,
        rank=rank,
        alpha=given("method.alpha") or choose.alpha(rank).value,
        dropout=choose.dropout(job, "lora").value if dropout is None else dropout,
        targets=targets if isinstance(targets, str) else tuple(targets),
        rslora=given("method.rslora"),
    )
    return Wish(
        subject=known,
        box=box,
        method=method,
        train=_open_train(record, loss_on),
        rows_per_update=choose.effective_batch(job).value,
        lengths=job.lengths,
        scored=_scored(report, loss_on),
        packing=choose.packing(job, box).value if packing == "auto" else packing == "on",
        micro_batch=given("train.micro_batch"),
        grad_accum=given("train.grad_accum"),
        gradient_checkpointing=given("train.gradient_checkpointing"),
        optimizer=None if given("train.optimizer") == "auto" else given("train.optimizer"),
        precision=None if given("train.precision") == "auto" else given("train.precision"),
    )


def _open_train(record: Record, loss_on: str) -> TrainPlan:
    """[train] with what the recipe settles; the rest is replaced by the search and after it."""
    given = record.given
    return TrainPlan(
        epochs=0,
        learning_rate=0,
        schedule=given("train.schedule"),
        warmup_steps=0,
        weight_decay=given("train.weight_decay"),
        micro_batch=1,
        grad_accum=1,
        seq_len=0,
        packing=False,
        gradient_checkpointing=True,
        optimizer="adamw",
        precision="fp32",
        loss_on="all" if loss_on == "all" else "answers",
        max_grad_norm=given("train.max_grad_norm"),
        seed=given("train.seed"),
        early_stopping=0,
        eval_every=1,
        save_every_minutes=given("train.save_every_minutes"),
        keep_checkpoints=given("train.keep_checkpoints"),
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
    if box.device == "cuda" and job.rows >= FULL_FROM_ROWS and not job.preference:
        return ["full", "lora", "qlora"]
    return ["lora", "qlora"]


def _lengths(record: Record, job: Job, wish: Wish) -> list[Choice[int]]:
    if record.pinned("train.seq_len"):
        return [Choice(record.given("train.seq_len"), "your choice")]
    return choose.lengths(job, wish.box, packed=wish.packing)


def _alternatives(wish: Wish, option: Option, names: list[MethodName]) -> tuple[FitPlan, ...]:
    """The methods that were not taken, at the same length, each at its best."""
    others: list[MethodName] = [name for name in ("lora", "qlora", "full") if name != option.method.name]
    if wish.box.device == "cpu" and option.fits == "safe":
        others = [name for name in others if name != "qlora" or name in names]
    return tuple(best(wish, name, option.train.seq_len).row(wish.box.device) for name in others)


def _name(paths: tuple[str, ...], model_id: str) -> str:
    """A name for a run that has none: the data's and the model's."""
    data = re.split(r"[/:]", paths[0])[-1].partition(".")[0] if paths else "run"
    model = model_id.rstrip("/").rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", f"{data}-{model}")[:64].strip("-")


def _in_order(record: Record) -> tuple[Reason, ...]:
    """The reasons in the order of the recipe's keys."""
    order = {key: position for position, (key, _) in enumerate(options())}
    return tuple(sorted(record.reasons, key=lambda reason: order[reason.key]))
