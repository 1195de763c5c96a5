"""What happens between steps: numbers to the events, requests obeyed, evaluation and saving at their time."""

from __future__ import annotations

import logging
import math
import time
from typing import Any

from transformers import TrainerCallback

from tui_ft.errors import RunFailed
from tui_ft.planning.plan import TrainPlan
from tui_ft.runs import checkpoints
from tui_ft.runs.changes import EVAL_EVERY, LEARNING_RATE, SAVE_EVERY
from tui_ft.runs.checkpoints import Checkpoint
from tui_ft.runs.reporter import Reporter
from tui_ft.runs.signs import Sign, Signs, Step
from tui_ft.text import count, duration
from tui_ft.training.gauges import peak_memory_bytes
from tui_ft.training.rate import set_learning_rate
from tui_ft.training.trainer import NotFinite, Trainer
from tui_ft.training.wishes import EndedEarly, Ending, Wishes

FIRST_SAVE_S = 3600.0  # whatever the recipe says, the first checkpoint comes within an hour
_LOG_EVERY_S = 15.0
# Of a training on preferences, see preference.py.
REWARDS = ("reward_margin", "reward_accuracy", "reward_chosen", "reward_rejected", "kl")
_HOPELESS = 2  # steps without any loss at the start of a run

_log = logging.getLogger(__name__)


class Telemetry(TrainerCallback):  # type: ignore[misc]
    """One `step` event per update, and an alert for what its numbers show to go wrong.

    Times leave evaluation and saving out.
    """

    def __init__(self, trainer: Trainer, reporter: Reporter, signs: Signs) -> None:
        self._trainer = trainer
        self._reporter = reporter
        self._signs = signs
        self._began = 0.0
        self._seconds = 0.0
        self._free: float | None = None  # since when nothing but the next rows is waited for
        self._waited: float | None = None
        self._tokens_before = 0
        self._tokens = 0
        self._logged = -math.inf

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the clock."""
        self._began = time.monotonic()
        self._waited = None if self._free is None else self._began - self._free

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop the clock and count tokens."""
        self._seconds = time.monotonic() - self._began
        seen = self._trainer._total_train_tokens
        self._tokens, self._tokens_before = seen - self._tokens_before, seen
        self._trainer.progress = self._trainer.progress.trained(self._tokens, self._seconds)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
        """Append the event."""
        if "loss" not in logs:
            return
        if not math.isfinite(logs["loss"]):
            raise NotFinite(
                f"the loss became {logs['loss']} at step {state.global_step}",
                fix="Look for rows without an answer, or lower train.learning_rate.",
            )
        self._reporter.update(step=state.global_step)
        speed = self._tokens / self._seconds if self._seconds > 0 else None
        self._reporter.events.append(
            "step",
            step=state.global_step,
            loss=logs["loss"],
            lr=logs.get("learning_rate"),
            grad_norm=logs.get("grad_norm"),
            tokens_per_s=speed,
            tokens=self._trainer.progress.tokens,
            seconds=round(self._seconds, 4),
            waited_s=None if self._waited is None else round(self._waited, 4),
            epoch=round(state.epoch, 4),
            entropy=logs.get("entropy"),
            accuracy=logs.get("mean_token_accuracy"),
            **{name: logs[name] for name in REWARDS if name in logs},
            memory_bytes=peak_memory_bytes(args.device),
        )
        now = time.monotonic()
        if now - self._logged >= _LOG_EVERY_S:
            self._logged = now
            _log.info("step %d of %d, loss %.4f", state.global_step, state.max_steps, logs["loss"])
        self._look(args, Step(state.global_step, logs["loss"], None, speed, self._seconds, self._waited))
        self._free = time.monotonic()

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: dict[str, float], **kwargs: Any
    ) -> None:
        """Hold the validation loss against the ones before."""
        for sign in self._signs.see_evaluation(state.global_step, metrics["eval_loss"]):
            self._tell(sign)
        self._free = time.monotonic()

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """From here on it is the next rows that are waited for."""
        self._free = time.monotonic()

    def _look(self, args: Any, step: Step) -> None:
        self._signs.learning_rate = args.learning_rate
        for sign in self._signs.see_step(step):
            self._tell(sign)
            if sign.id == "zero-loss" and step.step <= _HOPELESS:
                raise RunFailed("the loss is exactly 0 from the first step on", fix=sign.action)

    def _tell(self, sign: Sign) -> None:
        self._reporter.alert(sign.id, sign.severity, sign.what, sign.action, step=sign.step)


class LearningCheck(TrainerCallback):  # type: ignore[misc]
    """Proof at the first steps that every adapter receives gradient and moves.

    A LoRA pair starts with B = 0, so B has a gradient at the first step and is not zero after the
    first one with a learning rate above zero; A follows a step later.
    """

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._reached: int | None = None
        self._done = False

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any, **kwargs: Any) -> None:
        """Count what the first gradient reaches."""
        if self._reached is None:
            watched = _first_to_learn(model)
            self._reached = sum(
                parameter.grad is not None and bool(parameter.grad.any()) for parameter in watched
            )
            if not self._reached:
                raise RunFailed(
                    "no trained weight receives a gradient, so nothing would be learned",
                    fix='Set method.targets to "all-linear", and look at a row: is its answer marked?',
                )

    def on_optimizer_step(
        self, args: Any, state: Any, control: Any, model: Any, lr_scheduler: Any, **kwargs: Any
    ) -> None:
        """Count what the first update with a learning rate above zero has moved."""
        if self._done or lr_scheduler.get_last_lr()[0] <= 0:
            return
        self._done = True
        watched = _first_to_learn(model)
        total, reached = len(watched), self._reached or 0
        moved = sum(bool(parameter.any()) for parameter in watched)
        self._reporter.event(
            "learning",
            weights=total,
            with_gradient=reached,
            moved=moved,
            text=f"{reached} of {total} trained matrices receive a gradient, {moved} have moved",
        )
        if reached < total or moved < total:
            self._reporter.alert(
                "not-all-learn",
                "warning",
                f"{total - min(reached, moved)} of {total} trained matrices do not learn",
                "Set method.targets to the modules that do, or go on if this is meant.",
                step=state.global_step,
            )


def _first_to_learn(model: Any) -> list[Any]:
    """The B matrices of an adapter, which start at zero; every trained weight when there is no adapter."""
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    second = [parameter for name, parameter in trained if "lora_B" in name or "lora_embedding_B" in name]
    return second or [parameter for _, parameter in trained]


class Pilot(TrainerCallback):  # type: ignore[misc]
    """Decides after every step: evaluate, save, stop. Obeys requests and signals."""

    def __init__(
        self, trainer: Trainer, reporter: Reporter, wishes: Wishes, train: TrainPlan, *, steps: int
    ) -> None:
        self._trainer = trainer
        self._reporter = reporter
        self._wishes = wishes
        self._train = train
        self._steps = steps
        self._eval_every = train.eval_every
        self._save_every_s = train.save_every_minutes * 60
        self._rate: float | None = None  # as it was changed last
        self._closing: Ending | None = None  # the end of this epoch is the end
        self._saved_at = time.monotonic()
        self._safe = bool(checkpoints.listed(reporter.folder))  # whether anything is saved yet
        self._evaluating_since = 0.0
        self._starting = False
        trainer.interrupted = self._wants_end
        trainer.saved = self._saved

    def evaluate_if_missed(self, step: int) -> None:
        """Evaluate before going on when the evaluation planned for `step` was cut short."""
        self._follow(step)
        missed = self._trainer.progress.evaluated_step != step
        self._trainer.args.eval_on_start = missed and self.due(step)

    def report_not_finite(self, error: NotFinite) -> None:
        """Say that the training ended before the weights were spoilt, and keep them."""
        step = self._trainer.state.global_step
        self._reporter.alert(
            "not-finite", "error", f"Training stopped: {error.what}", error.fix, step=step + 1
        )
        self._trainer.reason = "last finite weights"
        if step and self._trainer.weights_are_finite():
            self._trainer.save_checkpoint()

    def _wants_end(self) -> bool:
        self._wishes.take()
        return self._wishes.ending is not None

    # -- the course of a training

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Say how long it will be."""
        self._starting = True
        self._saved_at = time.monotonic()
        self._follow(state.global_step)
        self._wishes.step = state.global_step + 1
        progress = self._trainer.progress
        self._reporter.update(
            step=state.global_step,
            steps=state.max_steps,
            best_step=progress.best_step,
            best_loss=progress.best_loss,
        )
        if args.eval_on_start:
            self._begin_evaluation()
        else:
            self._reporter.enter("training", "training")

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """From here on an evaluation is followed by a step."""
        self._starting = False

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Set what the training loop does next."""
        step = state.global_step
        asked = self._wishes.take()
        self._follow(step)
        self._wishes.step = step + 1
        last = step >= self._steps
        if last and not self._wishes.signalled:
            self._wishes.ending = None  # there is nothing left to stop
        ending = self._wishes.ending
        planned = self.due(step) or "evaluate" in asked
        if self._wishes.at_epoch and ending is None and not last and float(state.epoch).is_integer():
            planned = True
            self._close(control, round(state.epoch))
        control.should_evaluate = self._wishes.validates and ending is None and planned
        waited = time.monotonic() - self._saved_at
        if ending is not None:
            control.should_training_stop = True
            self._ask_to_save(control, ending.why)
            self._reporter.enter("pausing" if ending.state == "paused" else "stopping", "saving")
        elif last:
            self._ask_to_save(control, "end")
        elif "save" in asked:
            self._ask_to_save(control, "requested")
        elif waited >= (self._save_every_s if self._safe else min(self._save_every_s, FIRST_SAVE_S)):
            self._ask_to_save(control, "time")
        if control.should_evaluate:
            self._begin_evaluation()
        elif control.should_save and ending is None:
            self._reporter.enter("saving", "saving a checkpoint")

    def due(self, step: int) -> bool:
        """Whether the plan evaluates after this step: at every interval and after the last one."""
        return (
            self._wishes.validates
            and step > 0
            and (step >= self._steps or step % max(1, self._eval_every) == 0)
        )

    def _follow(self, step: int) -> None:
        """Go by the settings that were changed in the run, as they are after this step."""
        changed = self._wishes.settings(step)
        self._eval_every = changed.get(EVAL_EVERY, self._train.eval_every)
        self._save_every_s = changed.get(SAVE_EVERY, self._train.save_every_minutes) * 60
        rate, scheduler = changed.get(LEARNING_RATE), self._trainer.lr_scheduler
        if rate is not None and rate != self._rate and scheduler is not None:
            self._rate = self._trainer.args.learning_rate = rate
            set_learning_rate(scheduler, rate)

    def _close(self, control: Any, epoch: int) -> None:
        """End with this epoch: once more evaluated, saved, the best kept."""
        self._closing = Ending("stopped", f"stopped on request after {count(epoch, 'epoch')}", keep=True)
        control.should_training_stop = True
        self._ask_to_save(control, "end of epoch")

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The end that was asked for has come, unless another one came first."""
        self._wishes.ending = self._wishes.ending or self._closing

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: dict[str, float], **kwargs: Any
    ) -> None:
        """Keep the best, stop when it gets no better."""
        step, loss = state.global_step, metrics["eval_loss"]
        planned = self.due(step)
        progress = self._trainer.progress = self._trainer.progress.evaluated(step, loss, counts=planned)
        best = progress.best_step == step
        seconds = time.monotonic() - self._evaluating_since if self._evaluating_since else None
        self._reporter.event(
            "eval",
            step=step,
            eval_loss=loss,
            best=best,
            **{name: metrics[name] for name in REWARDS if name in metrics},
            seconds=None if seconds is None else round(seconds, 3),
            text=f"Validation loss {loss:.4f} at step {step}" + (", the best so far" if best else ""),
        )
        self._reporter.update(best_step=progress.best_step, best_loss=progress.best_loss)
        if not math.isfinite(loss):
            self._reporter.alert(
                "eval-not-finite",
                "error",
                f"The validation loss is not a number at step {step:,}",
                "Look for validation rows that are damaged; the best weights so far are kept.",
                step=step,
            )
        if best:
            self._ask_to_save(control, "best")
        if (
            self._wishes.ending is None
            and step < state.max_steps
            and progress.should_stop(self._train.early_stopping)
        ):
            self._stop_early(control, step)
        if control.should_save:
            self._reporter.enter("saving", "saving a checkpoint")
        else:
            self._reporter.enter("training", "training")

    def _stop_early(self, control: Any, step: int) -> None:
        progress = self._trainer.progress
        gain = f"{count(progress.stale, 'evaluation')} without gain; the best was step {progress.best_step}"
        self._wishes.ending = Ending("finished", f"stopped early after {gain}", keep=True)
        self._reporter.event(
            "early_stop", step=step, best_step=progress.best_step, text=f"Stopped early: {gain}"
        )
        self._ask_to_save(control, "early stop")
        control.should_training_stop = True
        if self._starting:
            raise EndedEarly(self._wishes.ending)

    def _begin_evaluation(self) -> None:
        self._evaluating_since = time.monotonic()
        self._reporter.enter("evaluating", "evaluating on the validation rows")

    def _ask_to_save(self, control: Any, reason: str) -> None:
        control.should_save = True
        self._trainer.reason = reason

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Back to training, unless this was the end."""
        if not control.should_training_stop:
            self._reporter.enter("training", "training")

    def _saved(self, checkpoint: Checkpoint, seconds: float) -> None:
        self._safe = True
        self._saved_at = time.monotonic()
        self._reporter.event(
            "checkpoint",
            step=checkpoint.step,
            reason=checkpoint.reason,
            bytes=checkpoint.size_bytes,
            seconds=round(seconds, 3),
            text=f"Saved step {checkpoint.step} in {duration(seconds)}",
        )
        self._reporter.events.sync()
