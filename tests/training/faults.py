"""Faults put into a worker before it begins; each stands in for what hardware does. Comma-separated.

oom-step@N    the GPU's allocator gives up at the first forward pass after N - 1 steps, in this process only
oom-eval@N    the same in the N-th evaluation        oom-save@N    the same in the N-th save
always-       before one of them: as often as it gets there, in this and every process that follows
exec-here     a process that replaces itself goes on in this one, faults and all, instead of a fresh one
slow@S        every micro-batch takes S seconds longer
first-save@S  the first checkpoint is due after S seconds instead of an hour
print@TEXT    TEXT is a token in the environment, a library prints TEXT, and fails with an error that holds it
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Any

import torch

from tui_ft.training import callbacks, worker
from tui_ft.training.trainer import Trainer

_TEXT = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. "
    "GPU 0 has a total capacity of 23.6 GiB of which 1.1 GiB is free."
)


def install(faults: str) -> None:
    """Patch this process."""
    for fault in faults.split(","):
        name, _, value = fault.partition("@")
        always = name.startswith("always-")
        match name.removeprefix("always-"):
            case "oom-step":
                wrap("training_step", Steps(int(value)), always)
            case "oom-eval":
                wrap("prediction_step", Counter(int(value), "_evaluations"), always)
            case "oom-save":
                wrap("save_weights", Counter(int(value), "_saves"), always)
            case "exec-here":
                _exec_here()
            case "first-save":
                callbacks.FIRST_SAVE_S = float(value)
            case "slow":
                _slow(float(value))
            case "print":
                _print(value)
            case _:
                raise ValueError(fault)


class Steps:
    """True from the N-th step on."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, trainer: Any) -> bool:
        return bool(trainer.state.global_step >= self.number - 1)


class Counter:
    """True from the N-th call on."""

    def __init__(self, number: int, name: str) -> None:
        self.number = number
        self.name = name

    def __call__(self, trainer: Any) -> bool:
        calls = getattr(trainer, self.name, 0) + 1
        setattr(trainer, self.name, calls)
        return calls >= self.number


def wrap(method: str, due: Callable[[Any], bool], always: bool) -> None:
    """Let a method of the trainer run out of memory when it is due."""
    original = getattr(Trainer, method)
    done: list[bool] = []

    def patched(self: Any, *args: Any, **kwargs: Any) -> Any:
        if (always or not done) and self.reason != "dry run" and due(self):
            done.append(True)
            raise torch.OutOfMemoryError(_TEXT)
        return original(self, *args, **kwargs)

    setattr(Trainer, method, patched)


def _exec_here() -> None:
    def execve(path: str, arguments: list[str], environment: dict[str, str]) -> None:
        os.environ.update(environment)
        os._exit(worker.main(arguments[4:]))

    vars(os)["execve"] = execve


def _slow(seconds: float) -> None:
    original = Trainer.training_step

    def patched(self: Any, *args: Any, **kwargs: Any) -> Any:
        time.sleep(seconds)
        return original(self, *args, **kwargs)

    Trainer.training_step = patched


def _print(text: str) -> None:
    os.environ["HF_TOKEN"] = text
    os.environ["WANDB_API_KEY"] = text[::-1]
    original = Trainer.training_step

    def patched(self: Any, *args: Any, **kwargs: Any) -> Any:
        print(f"a library says {text} and {text[::-1]}", flush=True)
        logging.getLogger("library").warning("a logger says %s", text)
        if self.state.global_step >= 2:
            raise RuntimeError(f"the request to https://me:{text}@hub failed, token {text}")
        return original(self, *args, **kwargs)

    Trainer.training_step = patched
