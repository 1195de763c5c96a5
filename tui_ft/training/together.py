"""Processes that train together: what only the first one does, and what all have to agree on.

In a run of one process everything here is as if it were not there. Decisions travel over a gloo group of
their own, also on GPUs, so that no GPU waits for them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from transformers import TrainerCallback

from tui_ft.runs import control
from tui_ft.training.wishes import Wishes

Value = TypeVar("Value")

# Preparing data or saving may take long; who is dead or stuck is found by the supervisor.
_PATIENCE = timedelta(days=7)
_NCCL_PATIENCE = timedelta(minutes=30)

_decisions: Any = None
_on_mark: Callable[[], None] | None = None


def join(mark: Callable[[], None]) -> None:
    """Enter the group that torchrun has made. `mark` is called whenever this process gets on."""
    global _decisions, _on_mark
    _on_mark = mark
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("cuda:nccl,cpu:gloo", timeout=_NCCL_PATIENCE)
        _decisions = dist.new_group(backend="gloo", timeout=_PATIENCE)
    else:
        dist.init_process_group("gloo", timeout=_PATIENCE)


def leave() -> None:
    """Leave the group, when all others are ready to."""
    dist.barrier(group=_decisions)
    dist.destroy_process_group()


def _mark() -> None:
    if _on_mark is not None:
        _on_mark()


def several() -> bool:
    """Whether this process trains with others."""
    return bool(dist.is_available() and dist.is_initialized()) and dist.get_world_size() > 1


def leads() -> bool:
    """Whether this is the process that writes: rank 0, or the only one."""
    return not several() or dist.get_rank() == 0


def agree(value: Value) -> Value:
    """Rank 0's value. Every process has to call this at the same place."""
    if not several():
        return value
    _mark()
    shared: list[Any] = [value]
    dist.broadcast_object_list(shared, src=0, group=_decisions)
    chosen: Value = shared[0]
    return chosen


def lead(do: Callable[[], Value]) -> Value:
    """Do something in rank 0 only; all get what it returned, or raise what it raised."""
    if not several():
        return do()
    outcome: Any = None
    failure: Exception | None = None
    if leads():
        try:
            outcome = do()
        except Exception as error:
            failure = error.with_traceback(None)
    outcome, failure = agree((outcome, failure))
    if failure is not None:
        raise failure
    return outcome  # type: ignore[no-any-return]


def every(do: Callable[[], None]) -> None:
    """Do something in all processes; if one fails, all raise the error of the first that did."""
    if not several():
        do()
        return
    failure: Exception | None = None
    try:
        do()
    except Exception as error:
        failure = error.with_traceback(None)
    _mark()
    failures: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(failures, failure, group=_decisions)
    for found in failures:
        if found is not None:
            raise found


@contextmanager
def leader_first() -> Iterator[None]:
    """Let rank 0 run the block before the others begin it."""
    if several() and not leads():
        agree(None)
    yield
    if several() and leads():
        agree(None)


def summed(*numbers: float) -> tuple[float, ...]:
    """The sums over all processes, in double precision."""
    if not several():
        return numbers
    total = torch.tensor(numbers, dtype=torch.float64)
    dist.all_reduce(total, group=_decisions)
    return tuple(total.tolist())


class SharedWishes(Wishes):
    """Rank 0 takes requests, signals and limits; the others hear of them at the same step."""

    def take(self) -> frozenset[control.RequestName]:
        """What rank 0 has found."""
        asked = super().take() if leads() else frozenset()
        if several():
            shared = agree((asked, self.ending, self.at_epoch, self.changes, self._stops.received))
            if not leads():
                asked, self.ending, self.at_epoch, self.changes, self._stops.received = shared
        return asked


class Agreement(TrainerCallback):  # type: ignore[misc]
    """Save, evaluate and stop when rank 0 does, whose clock and disk decided. The last of all callbacks."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Let every process drop out other units. A checkpoint has the random numbers of each."""
        if not state.global_step and not leads():
            torch.manual_seed(args.seed + dist.get_rank())

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Shuffle anew. accelerate's own call does not reach the sampler in a resumed epoch."""
        if self._trainer.order is not None:
            self._trainer.order.set_epoch(int(state.epoch))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take over what rank 0 is going to do."""
        ours = control.should_save, control.should_evaluate, control.should_training_stop
        shared = agree((*ours, self._trainer.reason))
        control.should_save, control.should_evaluate, control.should_training_stop = shared[:3]
        self._trainer.reason = shared[3]
