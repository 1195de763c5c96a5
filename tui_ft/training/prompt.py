"""A signal in the middle of an update: what was added up so far is let go, and the last step is saved.

An update of many micro-batches can take minutes, and a spot machine is gone within one.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback

from tui_ft.training.trainer import Trainer
from tui_ft.training.wishes import Wishes


class Preempted(Exception):
    """The update after the last step is left undone; `Prompt.rewind` makes that as if it never began."""


@dataclass(frozen=True, slots=True)
class _RandomNumbers:
    python: Any
    numpy: Any
    torch: torch.Tensor
    cuda: list[torch.Tensor]


class Prompt(TrainerCallback):  # type: ignore[misc]
    """Looks for signals between the micro-batches of an update."""

    def __init__(self, trainer: Trainer, wishes: Wishes) -> None:
        self._trainer = trainer
        self._wishes = wishes
        self._before: _RandomNumbers | None = None

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Keep the random numbers with which this step begins."""
        if args.gradient_accumulation_steps > 1:
            self._before = _RandomNumbers(
                random.getstate(),
                np.random.get_state(),
                torch.get_rng_state(),
                torch.cuda.get_rng_state_all() if args.device.type == "cuda" else [],
            )

    def on_substep_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Raises Preempted when a signal has come.

        One of several processes must not leave alone: the others would wait for its gradients.
        """
        if self._wishes.signal_waits and args.world_size == 1:
            self._wishes.take()
            raise Preempted

    def rewind(self) -> None:
        """Back to the end of the last step."""
        self._trainer.model.zero_grad(set_to_none=True)
        if self._before is not None:
            random.setstate(self._before.python)
            np.random.set_state(self._before.numpy)
            torch.set_rng_state(self._before.torch)
            if self._before.cuda:
                torch.cuda.set_rng_state_all(self._before.cuda)
