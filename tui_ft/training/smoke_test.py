"""The smoke test: can this model learn eight rows by heart? Then everything is put back as it was.

A model that cannot learns nothing from a thousand rows either: a learning rate that is no rate, labels that
are masked away, adapters that nothing reaches. Known before hours are paid for.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import TrainerCallback

from tui_ft.errors import RunFailed
from tui_ft.runs.reporter import Reporter
from tui_ft.training.dry_run import unchanged
from tui_ft.training.trainer import Trainer

ROWS = 8
STEPS = 30
_LEARNED = 0.1  # of the first loss: nothing more is to be shown
_LEAST_FALL = 0.01


class SmokeTest(TrainerCallback):  # type: ignore[misc]
    """Learns a few rows by heart when everything stands ready for the first step, and reports it."""

    def __init__(self, trainer: Trainer, reporter: Reporter, *, enter: Callable[[str], None]) -> None:
        """`enter` goes to a phase, or raises when somebody has asked for an end."""
        self._trainer = trainer
        self._reporter = reporter
        self._enter = enter

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Raises RunFailed when the loss does not fall at all."""
        self._enter("learning 8 rows by heart, as a test")
        began = time.monotonic()
        with unchanged(self._trainer), _weights_restored(self._trainer.model):
            losses = self._learn()
        first, last = losses[0], losses[-1]
        rows = min(ROWS, len(self._trainer.train_dataset))
        self._reporter.event(
            "smoke_test",
            rows=rows,
            steps=len(losses) - 1,
            first_loss=first,
            last_loss=last,
            seconds=round(time.monotonic() - began, 3),
            text=f"Smoke test: {rows} rows learned by heart, loss {first:.3g} to {last:.3g} "
            f"in {len(losses) - 1} steps",
        )
        rate = self._trainer.args.learning_rate
        if not math.isfinite(last) or last > first * (1 + _LEAST_FALL):
            raise RunFailed(
                f"the smoke test failed: on {rows} rows the loss rose from {first:.3g} to {last:.3g}",
                where="train.smoke_test",
                fix=f"Lower train.learning_rate, e.g. to {rate / 10:.1e}.",
            )
        if last > first * (1 - _LEAST_FALL):
            raise RunFailed(
                f"the smoke test failed: on {rows} rows the loss did not fall in {len(losses) - 1} steps, "
                f"{first:.3g} before and {last:.3g} after",
                where="train.smoke_test",
                fix=f"Raise train.learning_rate, e.g. to {max(rate * 10, 1e-5):.1e}.",
            )
        self._enter("starting the first step")

    def _learn(self) -> list[float]:
        """The loss before the first update and after each, at the full learning rate."""
        trainer, model = self._trainer, self._trainer.model_wrapped
        sequences = trainer.train_dataset.select(range(min(ROWS, len(trainer.train_dataset))))
        batches = [dict(batch) for batch in trainer.get_eval_dataloader(sequences)]
        trainer.current_gradient_accumulation_steps = len(batches)
        items = trainer.get_batch_samples(iter(batches), len(batches), trainer.args.device)[1]
        trainer.optimizer = None
        optimizer = self._optimizer()
        losses: list[float] = []
        while len(losses) <= STEPS and (not losses or losses[-1] > _LEARNED * losses[0]):
            if losses:
                torch.nn.utils.clip_grad_norm_(_trained(model), trainer.args.max_grad_norm)
                optimizer.step()
            model.zero_grad(set_to_none=True)
            losses.append(self._loss(model, batches, items))
            if not math.isfinite(losses[-1]):
                break
        return losses

    def _optimizer(self) -> Any:
        # bitsandbytes never gives the memory of paged states back.
        if "paged" in str(self._trainer.args.optim):
            rate = self._trainer.args.learning_rate
            return torch.optim.AdamW(_trained(self._trainer.model), lr=rate, weight_decay=0.0)
        return self._trainer.create_optimizer()

    def _loss(self, model: Any, batches: list[dict[str, Any]], items: Any) -> float:
        """Mean loss per learned token, with its gradient left in the weights."""
        trainer = self._trainer
        model.train()
        total = 0.0
        for batch in batches:
            inputs = trainer._prepare_inputs(dict(batch))
            with trainer.compute_loss_context_manager():
                loss = trainer.compute_loss(model, inputs, num_items_in_batch=items)
            if items is None:
                loss = loss / len(batches)
            trainer.accelerator.backward(loss)
            total += float(loss.detach())
        # All processes must stop at the same step.
        shared = torch.tensor(total, device=trainer.args.device)
        return float(trainer.accelerator.reduce(shared, reduction="mean"))


def _trained(model: Any) -> list[Any]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


@contextmanager
def _weights_restored(model: Any) -> Iterator[None]:
    """Put back the trained weights to the bit."""
    kept = [parameter.detach().to("cpu", copy=True) for parameter in _trained(model)]
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, before in zip(_trained(model), kept, strict=True):
                parameter.copy_(before)
