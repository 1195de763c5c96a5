"""trl's SFTTrainer with checkpoints that are whole or not there, and a guard before every update."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import trl.trainer.utils
from torch.optim.lr_scheduler import LambdaLR
from transformers.trainer import TRAINER_STATE_NAME
from trl import SFTTrainer

from tui_ft.errors import RunFailed
from tui_ft.runs import checkpoints, room
from tui_ft.runs.checkpoints import Checkpoint
from tui_ft.runs.folder import RunFolder
from tui_ft.training import shares, together
from tui_ft.training.dataset import IGNORED
from tui_ft.training.order import ByLength
from tui_ft.training.progress import Progress
from tui_ft.training.schedule import Schedule

_SCALER_GRACE = 8  # fp16 loss scaling starts too high and skips steps with infinite gradients until it fits


class NotFinite(RunFailed):
    """The gradient became NaN or infinite. Weights are still as before the step."""


class Interrupted(Exception):
    """Somebody asked for an end in the middle of an evaluation."""


class Trainer(SFTTrainer):  # type: ignore[misc]
    """One training in one run folder.

    `progress` is stored with every checkpoint; `reason` names why the next one is saved. `interrupted`
    is asked between evaluation batches.
    """

    def __init__(
        self, *args: Any, folder: RunFolder, keep: int, by_length: bool = False, **kwargs: Any
    ) -> None:
        rows, settings = kwargs["train_dataset"], kwargs["args"]
        self._rows = len(rows)
        if together.several():
            micro_batch = settings.per_device_train_batch_size
            kwargs["train_dataset"] = shares.filled(rows, micro_batch, settings.world_size)
        super().__init__(*args, **kwargs)
        self.by_length = by_length
        self.folder = folder
        self.keep = keep
        self.progress = Progress()
        self.reason = "requested"
        self.schedule: Schedule | None = None  # of a run that was made longer
        self.lr_scheduler: Any
        self.interrupted: Callable[[], bool] = lambda: False
        self.saved: Callable[[Checkpoint, float], None] = lambda checkpoint, seconds: None
        self._infinite_in_a_row = 0
        self._evaluation_batches: Any = None
        self.order: shares.Order | None = None  # of the rows, when several processes share them

    # -- saving and resuming

    def save_checkpoint(self) -> Checkpoint:
        """Write everything a resumed run needs, then let it appear as `checkpoints/step-N` at once.

        Raises DiskFull when giving up older checkpoints makes no room, NotFinite when there is nothing worth
        keeping; the best and the newest checkpoint are untouched then.
        """
        began = time.monotonic()
        step = int(self.state.global_step)
        if not self.weights_are_finite():
            raise NotFinite(
                f"the weights became NaN or infinite at step {step}",
                fix=f"Start again with a lower train.learning_rate, e.g. {self.args.learning_rate / 2:.1e}.",
            )
        best = self.progress.best_step
        if together.several():
            together.lead(lambda: room.make(self.folder, best_step=best))
            sealed = self._write_checkpoint(step)
        else:
            sealed = room.save(self.folder, lambda: self._write_checkpoint(step), best_step=best)
        together.lead(lambda: checkpoints.prune(self.folder, keep=self.keep, best_step=best))
        self.saved(sealed, time.monotonic() - began)
        return sealed

    def _write_checkpoint(self, step: int) -> Checkpoint:
        unfinished = together.lead(lambda: checkpoints.temporary(self.folder, step))
        together.lead(lambda: self._write_shared_state(unfinished))
        together.every(lambda: self._save_rng_state(str(unfinished)))
        evaluated = self.progress.evaluated_step == step and self.progress.best_step == step
        return together.lead(
            lambda: checkpoints.seal(
                self.folder,
                unfinished,
                step,
                reason=self.reason,
                eval_loss=self.progress.best_loss if evaluated else None,
            )
        )

    def _write_shared_state(self, folder: Path) -> None:
        """What is the same in all processes: weights, optimizer, schedule and counters."""
        self.save_weights(folder)
        self._save_optimizer_and_scheduler(str(folder))
        self._save_scaler(str(folder))
        self.state.save_to_json(str(folder / TRAINER_STATE_NAME))
        self.progress.write(folder)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Called by the training loop when a callback asked for it. Writes no training_args.bin."""
        self.save_checkpoint()

    def weights_are_finite(self) -> bool:
        """Whether no trained weight is NaN or infinite."""
        trained = (parameter for parameter in self.model.parameters() if parameter.requires_grad)
        return all(bool(torch.isfinite(parameter).all()) for parameter in trained)

    def save_weights(self, folder: Path) -> None:
        """The adapter, or every weight of a fully trained model, as safetensors."""
        settings = {} if self.model_is_whole else {"save_embedding_layers": False}
        self.model.save_pretrained(str(folder), **settings)
        # peft's card names neither data nor base when the base is a folder; a wrong card is worse than none.
        (folder / "README.md").unlink(missing_ok=True)

    @property
    def model_is_whole(self) -> bool:
        """True when there is no adapter: every weight is trained."""
        return not hasattr(self.model, "peft_config")

    def resume(self, checkpoint: Checkpoint) -> None:
        """Take over the counters of a checkpoint; weights, optimizer and RNG follow in `train`."""
        self.progress = Progress.read(checkpoint.path)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """transformers' schedule, or that of a run which was made longer."""
        if self.schedule is None:
            return super().create_scheduler(num_training_steps, optimizer)
        if self.lr_scheduler is None:
            self.lr_scheduler = LambdaLR(optimizer or self.optimizer, self.schedule.factor)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        """Random order, or rows of similar length together."""
        if together.several():
            self.order = shares.Order(self._rows, len(self.train_dataset), self.args.data_seed)
            return self.order
        if not self.by_length:
            return super()._get_train_sampler(train_dataset)
        at_once = self.args.train_batch_size * self.args.gradient_accumulation_steps
        rows = train_dataset if train_dataset is not None else self.train_dataset
        return ByLength(rows, rows_per_update=at_once, seed=self.args.data_seed)

    # -- the training step

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> float | None:
        """Called after clipping and before the update: the last moment at which weights are finite."""
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        value = float(norm) if norm is not None else None
        if value is None or math.isfinite(value):
            self._infinite_in_a_row = 0
            return value
        self._infinite_in_a_row += 1
        scaling = getattr(self.accelerator, "scaler", None) is not None
        if scaling and self._infinite_in_a_row <= _SCALER_GRACE:
            return value
        step = self.state.global_step + 1
        raise NotFinite(
            f"the gradient became {'NaN' if math.isnan(value) else 'infinite'} at step {step}",
            fix=f"Start again with a lower train.learning_rate, e.g. {self.args.learning_rate / 2:.1e}.",
        )

    def floating_point_ops(self, inputs: Any) -> int:
        """Not counted: walking over all parameters with every batch costs time and nobody reads it."""
        return 0

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Hand the numbers to the callbacks; the history is events.jsonl, not trainer_state.json."""
        super().log(logs, start_time)
        self.state.log_history.clear()

    # -- evaluation

    def weigh(self, batch: dict[str, Any]) -> int:
        """How much a batch counts in an evaluation: its learned tokens."""
        return int((batch["labels"][:, 1:] != IGNORED).sum())

    def more_metrics(self) -> dict[str, float]:
        """What an evaluation has found besides the loss."""
        return {}

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Mean loss over the validation rows, by what `weigh` counts: `eval_loss`.

        trl's mean of batch means would depend on how rows fall into batches. The random numbers of the
        training are left as they were, so evaluating more or less often does not change it.
        """
        if self._evaluation_batches is None:
            self._evaluation_batches = (
                shares.evaluation(self) if together.several() else self.get_eval_dataloader()
            )
        devices = [self.args.device] if self.args.device.type == "cuda" else []
        total, weights = 0.0, 0.0
        with torch.random.fork_rng(devices=devices):
            self.model.eval()
            for batch in self._evaluation_batches:
                if self.interrupted():
                    raise Interrupted
                weight = self.weigh(batch)
                if weight or together.several():  # where all processes have to take part in every batch
                    loss, _, _ = self.prediction_step(self.model, batch, prediction_loss_only=True)
                    total += float(loss) * weight
                    weights += weight
        total, weights = together.summed(total, weights)
        self._metrics["eval"].clear()
        metrics = {"eval_loss": total / weights if weights else math.nan, **self.more_metrics()}
        self.control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


def score_learned_positions_only() -> None:
    """Let trl's fused loss head leave out positions that are not learned from on the CPU, as on a GPU.

    trl scores every position wherever it has no Triton, for devices that recompile when shapes change;
    the CPU does not. With loss on the answers this saves most of the head's work. trl 1.16 asks
    `_use_triton` in `trl/trainer/utils.py` for nothing but this.
    """
    trl.trainer.utils._use_triton = lambda device: device.type in ("cuda", "xpu", "cpu")
