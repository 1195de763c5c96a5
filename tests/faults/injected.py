"""Faults that happen inside a worker: laid into a fork of the warm process before it trains.

`work` is called there by name (see tests/training/zygote.py). Each fault is a name with its settings, as
JSON: ["out_of_memory", "step", 7]. Steps are counted as people do: the first one is 1.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tui_ft.runs import checkpoints
from tui_ft.training import result, worker
from tui_ft.training.trainer import Trainer

OUT_OF_MEMORY = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.69 GiB of which "
    "1.10 GiB is free. Process 4242 has 22.58 GiB memory in use."
)


def work(args: list[str], faults: list[list[Any]]) -> None:
    """Be the worker of this run, with these faults; does not return."""
    for name, *settings in faults:
        FAULTS[name](*settings)
    code = worker.main(args)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def out_of_memory(where: str, step: int) -> None:
    """What a GPU says, in a step, an evaluation or a save."""
    method = {"step": "training_step", "evaluation": "prediction_step", "save": "save_weights"}[where]

    def fail(trainer: Trainer) -> None:
        done = trainer.state.global_step
        if done == (step - 1 if where == "step" else step):
            raise torch.OutOfMemoryError(OUT_OF_MEMORY)

    _before(Trainer, method, fail)


def nan(what: str, step: int) -> None:
    """A weight, or the gradient of one, is NaN in this step."""

    def spoil(trainer: Trainer) -> None:
        if trainer.state.global_step != step - 1:
            return
        weight = next(p for p in trainer.model.parameters() if p.requires_grad)
        if what == "weight":
            weight.data.view(-1)[0] = float("nan")
        else:
            weight.register_hook(lambda gradient: gradient * float("nan"))

    _before(Trainer, "training_step", spoil)


def clock(step: int, seconds: float) -> None:
    """The time of day jumps when this step begins, and stays there."""
    right = time.time

    def jump() -> None:
        time.time = lambda: right() + seconds

    _at_step(step, jump)


def ballast(step: int, path: str) -> None:
    """From this step on somebody fills the file system that `path` lies on, whatever is freed there."""

    def fill() -> None:
        with Path(path).open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 12))
            except OSError:
                return

    _before(
        Trainer, "training_step", lambda trainer: fill() if trainer.state.global_step >= step - 1 else None
    )


def file_limit(step: int, size: int) -> None:
    """From this step on no file grows beyond `size` bytes: writes are torn in the middle."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    _at_step(step, limit)


def death_in_save(step: int, place: str) -> None:
    """`kill -9` inside the save of this step or a later one, at a place of it."""
    armed = [False]

    def arm(trainer: Trainer) -> None:
        armed[0] = trainer.state.global_step >= step

    def die(*_: object) -> None:
        if armed[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    def die_of(path_ends: str) -> Callable[..., None]:
        return lambda path, *_: die() if str(path).endswith(path_ends) else None

    def tear(_: Trainer, folder: Path) -> None:
        if armed[0]:
            for path in folder.glob("*.safetensors"):
                os.truncate(path, path.stat().st_size // 2)
            die()

    _before(Trainer, "save_checkpoint", arm)
    match place:
        case "before the weights":
            _before(Trainer, "save_weights", die)
        case "half the weights":
            _after(Trainer, "save_weights", tear)
        case "before the random states":
            _before(Trainer, "_save_rng_state", die)
        case "while hashing":
            _before(checkpoints, "sha256", die_of("optimizer.pt"))
        case "before the manifest":
            _before(checkpoints, "write_json", die)
        case "before the old one is removed":
            _before(checkpoints, "prune", die)
        case "while the old one is removed":
            _before(shutil, "rmtree", die_of("-old"))
        case "while the same step is there already":
            both = (f"step-{step}", f".saving-step-{step}-{os.getpid()}")
            _before(
                shutil,
                "rmtree",
                lambda path: die() if path.name in both and path.exists() else None,
            )
        case _:
            raise ValueError(place)


def death_in_result(_: int) -> None:
    """`kill -9` while the result is copied."""
    _before(result, "_name_base", lambda *_: os.kill(os.getpid(), signal.SIGKILL))


def signalled(where: str, step: int, number: int) -> None:
    """A signal inside the save or the evaluation of this step."""
    method = {"evaluation": "prediction_step", "save": "_save_rng_state"}[where]

    def send(trainer: Trainer) -> None:
        if trainer.state.global_step == step and trainer.reason != "dry run":
            os.kill(os.getpid(), number)

    _before(Trainer, method, send)


def _at_step(step: int, happen: Callable[[], None]) -> None:
    def look(trainer: Trainer) -> None:
        if trainer.state.global_step == step - 1:
            happen()

    _before(Trainer, "training_step", look)


def _before(owner: Any, name: str, act: Callable[..., object]) -> None:
    """Let `act` be called before a function, with as many of its arguments as it takes."""
    function = getattr(owner, name)

    def both(*args: Any, **kwargs: Any) -> Any:
        _call(act, args)
        return function(*args, **kwargs)

    setattr(owner, name, both)


def _after(owner: Any, name: str, act: Callable[..., object]) -> None:
    function = getattr(owner, name)

    def both(*args: Any, **kwargs: Any) -> Any:
        answer = function(*args, **kwargs)
        _call(act, args)
        return answer

    setattr(owner, name, both)


def _call(act: Callable[..., object], args: tuple[Any, ...]) -> None:
    takes_all = act.__code__.co_flags & 0x04  # *args
    act(*(args if takes_all else args[: act.__code__.co_argcount]))


FAULTS: dict[str, Callable[..., None]] = {
    found.__name__: found
    for found in (
        out_of_memory,
        nan,
        clock,
        ballast,
        file_limit,
        death_in_save,
        death_in_result,
        signalled,
    )
}
