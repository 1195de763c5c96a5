"""Another learning rate in the middle of a schedule."""

from __future__ import annotations

from typing import Any


def set_learning_rate(scheduler: Any, rate: float) -> None:
    """Let the schedule go on as if `rate` had been its highest learning rate.

    `scheduler` is a torch LambdaLR. Its state and the optimizer's hold the new rate, so that a checkpoint
    restores it. Setting the rate there is changes nothing, not even a bit.
    """
    main = scheduler.base_lrs[0]
    bases = [rate if base == main else base * (rate / main) for base in scheduler.base_lrs]
    scheduler.base_lrs = bases
    groups = scheduler.optimizer.param_groups
    for group, base, factor in zip(groups, bases, scheduler.lr_lambdas, strict=True):
        group["initial_lr"] = base
        group["lr"] = base * factor(scheduler.last_epoch)
    scheduler._last_lr = [group["lr"] for group in groups]
