"""One training from its first phase to its last."""

from __future__ import annotations

import gc
import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers
from transformers import PrinterCallback, set_seed

from tui_ft.data import prepare as preparing
from tui_ft.data.masks import loss_of
from tui_ft.errors import InputError, RunFailed
from tui_ft.models.folder import read_local
from tui_ft.models.tokenizer import ChatTokenizer
from tui_ft.planning.plan import Plan
from tui_ft.planning.search import Subject
from tui_ft.recipe import Recipe
from tui_ft.runs import amendments, checkpoints, history
from tui_ft.runs.amendments import amended
from tui_ft.runs.checkpoints import Checkpoint
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.reporter import Reporter
from tui_ft.runs.signs import Signs
from tui_ft.text import count, parameters, percent
from tui_ft.training import dataset, dry_run, lock, longer, preference_data, result, together
from tui_ft.training.arguments import sft_config, update_steps
from tui_ft.training.budget import Budget
from tui_ft.training.callbacks import LearningCheck, Pilot, Telemetry
from tui_ft.training.dataset import Split
from tui_ft.training.disk_watch import DiskWatch
from tui_ft.training.dry_run import DryRun
from tui_ft.training.model import load_tokenizer, load_trainable
from tui_ft.training.preference import PreferenceTrainer
from tui_ft.training.prompt import Preempted, Prompt
from tui_ft.training.rollback import GoBack, go_back
from tui_ft.training.rollback import possible as rollback_possible
from tui_ft.training.schedule import words
from tui_ft.training.signals import Stops
from tui_ft.training.smoke_test import SmokeTest
from tui_ft.training.trainer import Interrupted, NotFinite, Trainer, score_learned_positions_only
from tui_ft.training.wishes import EndedEarly, Ending, Wishes


@dataclass(frozen=True, slots=True)
class _Splits:
    train: Split
    validation: Split | None


def train(folder: RunFolder, reporter: Reporter, stops: Stops, *, resume: bool) -> Ending:
    """Train, or go on training, the run in this folder. Returns how it ended.

    Raises TuiFtError subclasses for what a user can mend, and whatever the libraries raise.
    """
    recipe, plan = amended(folder.read_recipe(), folder.read_plan(), amendments.read(folder))
    base = _base_folder(plan)
    _quiet()
    wishes = together.SharedWishes(reporter, stops, recipe, Budget(recipe, history.read(folder)))
    if not resume:
        _refuse_to_overwrite(folder)
    again = False
    while True:
        try:
            return _attempt(folder, recipe, plan, base, reporter, wishes, resume=resume, again=again)
        except GoBack as found:
            # Without the frames, which hold the model.
            failed = GoBack(found.what, found.step)
        resume = together.lead(partial(go_back, folder, plan, reporter, failed)) > 0
        again = True
        wishes.reload()
        _free_memory()


def _attempt(
    folder: RunFolder,
    recipe: Recipe,
    plan: Plan,
    base: Path,
    reporter: Reporter,
    wishes: Wishes,
    *,
    resume: bool,
    again: bool,
) -> Ending:
    """Train from the first step or the newest checkpoint on. `again`: this process has tried before.

    Raises GoBack when the run has to go back to an earlier checkpoint, and what `train` raises.
    """
    past = history.read(folder)
    checkpoint = together.lead(lambda: _find_checkpoint(folder, reporter)) if resume else None
    together.lead(lambda: checkpoints.sweep(folder))
    together.lead(lambda: dry_run.clear(folder))
    wishes.step = checkpoint.step if checkpoint else 0
    reporter.event("start", resumed_from=checkpoint.step if checkpoint else None)
    try:
        _enter(reporter, wishes, "preparing the data")
        with together.leader_first():
            splits = _splits(folder, recipe, plan, base, reporter)
        _enter(reporter, wishes, "loading the model")
        trainer = _trainer(folder, recipe, plan, splits, reporter, resumed=resume)
        wishes.validates = splits.validation is not None
        steps = update_steps(len(splits.train.sequences), plan, recipe.train.max_steps)
        _lengthen(trainer, folder, reporter, len(splits.train.sequences), from_step=wishes.step)
        pilot = Pilot(trainer, reporter, wishes, plan.train, steps=steps)
        enter = partial(_enter, reporter, wishes)
        if recipe.train.dry_run and not resume and not again:
            trainer.add_callback(
                DryRun(trainer, reporter, plan, _subject(plan, base), steps=steps, enter=enter)
            )
        if recipe.train.smoke_test and not resume and not again:
            trainer.add_callback(SmokeTest(trainer, reporter, enter=enter))
        signs = Signs(
            steps, learning_rate=plan.train.learning_rate, warmup_steps=trainer.args.get_warmup_steps(steps)
        )
        if checkpoint is not None:
            past.teach(signs, checkpoint.step)
        _add_callbacks(trainer, pilot, reporter, signs, resumed=resume)
        if together.leads():
            trainer.add_callback(DiskWatch(trainer, reporter, plan))
        if together.several():
            trainer.add_callback(together.Agreement(trainer))
        _enter(reporter, wishes, "starting the first step")
        ending = _fit(trainer, pilot, recipe, wishes, checkpoint)
    except EndedEarly as early:
        ending = early.ending
    if ending.keep and together.leads() and checkpoints.listed(folder):
        reporter.enter("stopping", "writing the result")
        return _keep(folder, recipe, plan, reporter, ending)
    return ending


def _refuse_to_overwrite(folder: RunFolder) -> None:
    saved = checkpoints.listed(folder)
    if saved:
        raise InputError(
            f"this run has a checkpoint at step {saved[-1].step}; starting again would lose it",
            where=folder.id,
            fix=f"Go on from there with `tui-ft resume {folder.id}`.",
        )


def _quiet() -> None:
    """No progress bars and no notices for developers in the log."""
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|trl|peft|accelerate)\.")
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_warning()
    logging.getLogger("httpx").setLevel(logging.WARNING)


def _enter(reporter: Reporter, wishes: Wishes, phase: str) -> None:
    """Enter a phase before the first step, unless an end was asked for."""
    wishes.take()
    if wishes.ending is not None:
        raise EndedEarly(replace(wishes.ending, why=f"{wishes.ending.why} before the first step", keep=False))
    reporter.enter("starting", phase)


def _find_checkpoint(folder: RunFolder, reporter: Reporter) -> Checkpoint:
    """The newest whole checkpoint. Damaged ones are set aside and named."""
    search = checkpoints.find_newest(folder)
    for name, damage in search.torn:
        aside = checkpoints.set_aside(folder, name)
        reporter.alert(
            "torn-checkpoint",
            "warning",
            f"The checkpoint {name} is damaged: {damage}",
            f"It was set aside as {aside.name}; the run goes on from an older one.",
        )
    if search.newest is None:
        raise InputError(
            "there is no whole checkpoint, so there is nothing to resume",
            where=folder.id,
            fix=f"Start again with `tui-ft train {folder.recipe}`.",
        )
    return search.newest


def _base_folder(plan: Plan) -> Path:
    folder = Path(plan.model_folder)
    if not plan.model_folder or not folder.is_dir():
        raise InputError(
            f"the folder of the base model is gone: {plan.model_folder or plan.model_id}",
            where="plan.json: model_folder",
            fix="Put it back, or start a new run from the recipe.",
        )
    return folder


def _subject(plan: Plan, base: Path) -> Subject | None:
    """The model as the memory formula wants it; None when config.json does not give its sizes."""
    facts = read_local(plan.model_id, base)
    return Subject(facts.dims, facts.parameters, facts.model_type) if facts.dims else None


def _splits(folder: RunFolder, recipe: Recipe, plan: Plan, base: Path, reporter: Reporter) -> _Splits:
    """The prepared rows, prepared now if they are not yet."""
    prepared = preparing.load(folder.data)
    if prepared is None:
        prepared = preparing.prepare(
            recipe.data,
            base=folder.path,
            folder=folder.data,
            tokenizer=ChatTokenizer.load(base),
            seq_len=plan.train.seq_len,
            loss_on=loss_of(plan.method.objective, plan.train.loss_on),
            progress=lambda done: reporter.update(done=done.done_bytes, total=done.total_bytes),
        )
    path = folder.data / "train.parquet"
    training = _load(path, plan)
    if not len(training.sequences):
        raise InputError(
            f"none of the {count(training.rows, 'row')} has an answer within {plan.train.seq_len} tokens",
            where=str(path),
            fix="Raise train.seq_len.",
        )
    validation = _load(folder.data / "validation.parquet", plan)
    _report_data(training, prepared.report, plan, reporter)
    return _Splits(training, validation if len(validation.sequences) else None)


def _load(path: Path, plan: Plan) -> Split:
    seq_len = plan.train.seq_len
    if plan.method.preference:
        kind = loss_of(plan.method.objective)
        return preference_data.load(path, seq_len=seq_len, kind="verdicts" if kind == "verdicts" else "pairs")
    return dataset.load(path, seq_len=seq_len, packing=plan.train.packing)


def _report_data(training: Split, report: Mapping[str, Any], plan: Plan, reporter: Reporter) -> None:
    """Say what is learned from, and above all what of the answers is not."""
    learned = percent(training.answer_tokens / max(1, training.tokens))
    reporter.event(
        "data",
        rows=training.rows,
        sequences=len(training.sequences),
        tokens=training.tokens,
        answer_tokens=training.answer_tokens,
        cut=training.cut,
        dropped=training.dropped,
        text=f"{count(training.rows - training.dropped, 'row')}, {count(training.tokens, 'token')}, "
        f"{learned} of them learned from",
    )
    for finding in report.get("findings", ()):
        if finding["id"] in ("answer-cut", "prompt-too-long"):
            reporter.alert(finding["id"], "warning", finding["what"], finding["fix"])
    if training.cut or training.dropped:
        reporter.alert(
            "answer-cut",
            "warning",
            f"{count(training.cut, 'answer')} cut off at {plan.train.seq_len} tokens, "
            f"{count(training.dropped, 'row')} left out because nothing of the answer remained",
            "Raise train.seq_len to keep them.",
        )


def _trainer(
    folder: RunFolder, recipe: Recipe, plan: Plan, splits: _Splits, reporter: Reporter, *, resumed: bool
) -> Trainer:
    score_learned_positions_only()
    # Before the model: an adapter's first weights are random too.
    set_seed(plan.train.seed)
    tokenizer = load_tokenizer(plan, recipe.model)
    if resumed:
        for found in together.lead(lambda: lock.check(folder, Path(plan.model_folder), tokenizer)):
            reporter.alert(
                "versions-changed",
                "warning",
                f"{found.key} was {found.then} when this run began and is {found.now or 'gone'} now",
                "The last digits of the losses may differ from an uninterrupted run; install it again if "
                "that matters.",
            )
    else:
        together.lead(lambda: lock.write(folder, tokenizer, Path(plan.model_folder)))
    model, adapters = load_trainable(plan, recipe.model, folder)
    matched = ", ".join(f"{name} × {number}" for name, number in sorted(adapters.matches.items()))
    reporter.event(
        "model",
        matches=adapters.matches,
        trainable=adapters.trainable,
        total=adapters.total,
        text=f"Training {parameters(adapters.trainable)} of {parameters(adapters.total)} weights"
        + (f": {matched}" if matched else ""),
    )
    sequences = len(splits.train.sequences)
    make = partial(PreferenceTrainer, plan=plan) if plan.method.preference else Trainer
    trainer = make(
        model=model,
        args=sft_config(plan, folder.checkpoints, sequences=sequences, max_steps=recipe.train.max_steps),
        train_dataset=splits.train.sequences,
        eval_dataset=splits.validation.sequences if splits.validation else None,
        processing_class=tokenizer,
        folder=folder,
        keep=plan.train.keep_checkpoints,
        by_length=plan.train.group_by_length and not plan.train.packing,
    )
    if plan.train.precision != "bf16":
        _trained_weights_to_fp32(trainer.model)
    if isinstance(trainer, PreferenceTrainer):
        trainer.remember_reference()
    return trainer


def _lengthen(
    trainer: Trainer, folder: RunFolder, reporter: Reporter, sequences: int, *, from_step: int
) -> None:
    """Follow the schedule of a longer run, and say what becomes of the learning rate."""
    made = amendments.read(folder)
    trainer.schedule = longer.schedule(folder.read_recipe(), folder.read_plan(), made, sequences)
    if trainer.schedule is not None and trainer.schedule.ends[-1][0] >= from_step:
        text = words(trainer.schedule, trainer.args.learning_rate)
        reporter.event("extended", steps=trainer.schedule.ends[-1][1], text=text)


def _trained_weights_to_fp32(model: Any) -> None:
    """trl casts the adapters of a 4-bit base to bf16, which neither fp16 loss scaling nor fp32 asked for."""
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype == torch.bfloat16:
            parameter.data = parameter.data.float()


def _free_memory() -> None:
    """Give back what the attempt that has ended held."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _add_callbacks(
    trainer: Trainer, pilot: Pilot, reporter: Reporter, signs: Signs, *, resumed: bool
) -> None:
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Telemetry(trainer, reporter, signs))
    if not resumed:
        trainer.add_callback(LearningCheck(reporter))
    trainer.add_callback(pilot)


def _fit(
    trainer: Trainer, pilot: Pilot, recipe: Recipe, wishes: Wishes, checkpoint: Checkpoint | None
) -> Ending:
    """Run the training loop to its end, however it comes."""
    if checkpoint is not None:
        trainer.resume(checkpoint)
        if trainer.schedule is not None and trainer.schedule.ends[-1][0] == checkpoint.step:
            trainer.progress = replace(trainer.progress, stale=0)  # a longer run is to have its chance
        pilot.evaluate_if_missed(checkpoint.step)
    prompt = Prompt(trainer, wishes)
    if not together.several():  # a signal comes to one process, and all have to end at the same step
        trainer.add_callback(prompt)
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint.path) if checkpoint else None)
    except Interrupted:
        # Weights are those of the last step; the evaluation is made up for at resume.
        trainer.reason = "interrupted evaluation"
        trainer.save_checkpoint()
    except Preempted:
        prompt.rewind()
        if not trainer.state.global_step:
            assert wishes.ending is not None
            return replace(wishes.ending, why=f"{wishes.ending.why} in the first step", keep=False)
        trainer.reason = "signal"
        trainer.save_checkpoint()
    except NotFinite as error:
        done = int(trainer.state.global_step)
        if together.lead(lambda: rollback_possible(trainer.folder, recipe, done)):
            raise GoBack(error.what, done) from None
        pilot.report_not_finite(error)
        raise
    step, best = trainer.state.global_step, trainer.progress
    if wishes.ending is not None:
        return replace(wishes.ending, why=f"{wishes.ending.why}; saved at step {step}")
    if not best.tokens:
        raise RunFailed(
            "not one token was trained", fix="Look at a row in the preview: is its answer marked?"
        )
    message = f"finished after {count(step, 'step')}"
    if best.best_step is not None and best.best_loss is not None:
        message += f"; best validation loss {best.best_loss:.4f} at step {best.best_step}"
    return Ending("finished", message, keep=True)


def _keep(folder: RunFolder, recipe: Recipe, plan: Plan, reporter: Reporter, ending: Ending) -> Ending:
    """Write the best weights as the run's result."""
    chosen = result.choose(folder, reporter.status.best_step)
    whole = plan.method.name == "full"
    path = result.keep(folder, chosen, plan, load_tokenizer(plan, recipe.model))
    reporter.event(
        "artefact",
        what="model" if whole else "adapter",
        path=str(path),
        step=chosen.step,
        text=f"The {'model' if whole else 'adapter'} of step {chosen.step} is in {path}",
    )
    return ending
