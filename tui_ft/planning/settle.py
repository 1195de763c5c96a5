"""A reason for every setting of [method] and [train], once the search has found what fits."""

from __future__ import annotations

from dataclasses import replace

from tui_ft.planning import choose, cost
from tui_ft.planning.box import Box
from tui_ft.planning.choose import Choice, Job
from tui_ft.planning.plan import MethodPlan, TrainPlan
from tui_ft.planning.record import Record
from tui_ft.planning.search import Option, Wish
from tui_ft.planning.tally import Tally
from tui_ft.recipe import MethodName
from tui_ft.text import count, gib


def settle_method(record: Record, job: Job, option: Option, lora: Option | None) -> MethodPlan:
    """[method] as found, with its reasons; `lora` is what LoRA needs where it was not taken for that."""
    found = option.method
    name = record.settle("method.name", _why_method(job, option, lora))
    record.settle("method.objective", choose.objective(job))
    if name == "full":
        record.note("method.rank", choose.rank(job, "full"))
        record.note("method.alpha", choose.alpha(0))
        record.note("method.dropout", choose.dropout(job, "full"))
    else:
        wanted = choose.rank(job, name)
        if found.rank < wanted.value:
            wanted = Choice(found.rank, f"fits; {wanted.value} would be better: {wanted.why}", choose.FORMULA)
        record.settle("method.rank", wanted)
        record.settle("method.alpha", choose.alpha(found.rank))
        record.settle("method.dropout", choose.dropout(job, name))
    record.keep("method.targets")
    record.keep("method.rslora")
    if found.continue_from:
        record.keep("method.continue_from")
    if found.preference:
        found = replace(found, beta=record.settle("method.beta", choose.beta(job)))
    if found.objective == "kto":
        balanced = Choice("balanced", *choose.DEFAULTS["method.good_weight"])
        for key in ("method.good_weight", "method.bad_weight"):
            record.keep(key) if record.pinned(key) else record.note(key, balanced)
    return found


def _why_method(job: Job, option: Option, lora: Option | None) -> Choice[MethodName]:
    name = option.method.name
    if option.fits == "wont_fit":
        return Choice(name, "needs least, and still too much", choose.FORMULA)
    if name == "full":
        return Choice(name, f"{count(job.rows, 'row')}, and room for every weight", choose.GUIDES)
    if name == "qlora" and lora is not None:
        words = {
            "safe": "fits too",
            "tight": "tight here",
            "wont_fit": "too much here",
            "unknown": "free memory unknown",
        }
        return Choice(name, f"LoRA needs {gib(lora.memory.peak_bytes)}: {words[lora.fits]}", choose.FORMULA)
    return Choice(name, "the default for most tasks, close to full training in quality", choose.GUIDES)


def settle_train(record: Record, job: Job, wish: Wish, option: Option) -> TrainPlan:
    """[train] as found, with epochs, learning rate and reasons; step counts come later."""
    train, name, box = option.train, option.method.name, wish.box
    optimizers = {choice.value: choice for choice in choose.optimizer(name, box)}
    update = choose.effective_batch(job)
    at_once = "one packed sequence is a full batch" if train.packing else "the fastest that fits"
    if option.fits == "wont_fit":
        at_once = "the least there is"
    recompute = (
        "recomputes activations: slower, but it fits"
        if train.gradient_checkpointing
        else "fits without; faster"
    )
    rows = f"{count(update.value, 'row')} per update; {update.why}"
    record.settle("train.micro_batch", Choice(train.micro_batch, at_once, choose.FORMULA))
    record.settle("train.grad_accum", Choice(train.grad_accum, rows, update.source))
    record.settle("train.seq_len", _why_length(job, wish, train))
    record.settle(
        "train.gradient_checkpointing", Choice(train.gradient_checkpointing, recompute, choose.FORMULA)
    )
    record.settle("train.optimizer", optimizers.get(train.optimizer, next(iter(optimizers.values()))))
    record.settle("train.precision", choose.precision(box, name))
    record.settle("train.packing", _why_packing(job, wish, train))
    if job.plain_text:
        record.note("train.loss_on", choose.loss_on(job))
    else:
        record.settle("train.loss_on", choose.loss_on(job))
    for key in ("neftune_alpha", "group_by_length"):
        if record.pinned(f"train.{key}"):
            record.keep(f"train.{key}")
    for key in ("max_steps", "schedule", "warmup", "weight_decay", "max_grad_norm", "seed"):
        record.keep(f"train.{key}")
    record.keep("train.save_every_minutes")
    record.keep("train.keep_checkpoints")
    record.keep("train.dry_run")
    record.keep("train.smoke_test")
    record.keep("train.on_nan")
    record.keep("train.on_oom")
    return replace(
        train,
        epochs=record.settle("train.epochs", choose.epochs(job)),
        learning_rate=record.settle("train.learning_rate", choose.learning_rate(job, name)),
    )


def settle_several(record: Record, box: Box, train: TrainPlan) -> None:
    """The reasons for how many GPUs train together, and how."""
    one = "one GPU unless you ask for more" if box.device == "cuda" else "this box has no GPU"
    record.settle("train.gpus", Choice(1, one, choose.FORMULA))
    copy = "a whole copy on each GPU" if box.device == "cuda" else "a whole copy in each process"
    record.settle("train.strategy", Choice("ddp", copy if train.gpus > 1 else "one alone", choose.FORMULA))


def _why_length(job: Job, wish: Wish, train: TrainPlan) -> Choice[int]:
    """The rule's length; where the user's stands, what the rule would have been."""
    choices = choose.lengths(job, wish.box, packed=train.packing)
    return next((choice for choice in choices if choice.value == train.seq_len), choices[0])


def _why_packing(job: Job, wish: Wish, train: TrainPlan) -> Choice[str]:
    packing = choose.packing(job, wish.box)
    if packing.value and not train.packing:
        return Choice("off", f"packed rows need more memory than there is; {packing.why}", choose.FORMULA)
    return Choice("on" if packing.value else "off", packing.why, packing.source)


def settle_steps(
    record: Record, train: TrainPlan, method: MethodPlan, tally: Tally, validation_rows: int
) -> TrainPlan:
    """What depends on the number of steps: warm-up, evaluations, early stopping."""
    share: float = record.given("train.warmup")
    warmup = min(tally.steps, max(1, round(share * tally.steps))) if share else 0
    forward = cost.forward_share(method, train)
    every = choose.eval_every(tally.steps, validation_rows, tally.rows_per_update, forward)
    stopping = choose.early_stopping(record.given("train.early_stopping"), validation_rows)
    record.settle("train.early_stopping", stopping)
    return replace(
        train,
        warmup_steps=warmup,
        eval_every=record.settle("train.eval_every", every),
        early_stopping=stopping.value,
    )
