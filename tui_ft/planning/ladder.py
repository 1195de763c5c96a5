"""Down the ladder: what to change, one thing after the other, when a plan ran out of memory.

Half the rows at once (as many per update), activations recomputed, a smaller optimizer, QLoRA, shorter
rows: cheapest in quality first. Pure; the caller says what a step needs.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tui_ft.planning.choose import LENGTH_STEP
from tui_ft.planning.memory import Device
from tui_ft.planning.plan import MethodPlan, TrainPlan

_HELPS = 0.99  # a rung that saves less than 1 % is left out


@dataclass(frozen=True, slots=True)
class Rung:
    """A way to train, and what was changed to get there: recipe key → value, None un-pins a key."""

    method: MethodPlan
    train: TrainPlan
    changes: Mapping[str, Any] = field(default_factory=dict)
    need_bytes: int = 0

    def words(self) -> str:
        """What the changes mean, in one sentence."""
        train, said = self.train, []
        if "train.micro_batch" in self.changes:
            rows = "1 row" if train.micro_batch == 1 else f"{train.micro_batch} rows"
            said.append(f"{rows} at once, {train.grad_accum} times before each update")
        if "train.gradient_checkpointing" in self.changes:
            said.append("activations recomputed, a fifth to a third slower")
        if "train.optimizer" in self.changes:
            said.append("an 8-bit optimizer" + (" in main memory" * train.optimizer.startswith("paged")))
        if "method.name" in self.changes:
            names = {"lora": "LoRA instead of full training", "qlora": "QLoRA, the base in 4 bits"}
            said.append(names[self.method.name])
        if "train.seq_len" in self.changes:
            said.append(f"rows cut at {train.seq_len:,} tokens")
        return "; ".join(said)


def step_down(
    method: MethodPlan, train: TrainPlan, device: Device, need: Callable[[Rung], int], free_bytes: int
) -> Rung | None:
    """The first rung below this plan that needs at most `free_bytes`; the lowest when none does.

    None when nothing can be made smaller.
    """
    standing = Rung(method, train)
    standing = replace(standing, need_bytes=need(standing))
    for below in _steps(device):
        while (rung := below(standing)) is not None:
            rung = replace(rung, need_bytes=need(rung))
            if rung.need_bytes > _HELPS * standing.need_bytes:
                break
            standing = rung
            if standing.need_bytes <= free_bytes:
                return standing
    return standing if standing.changes else None


def command(recipe: str, changes: Mapping[str, Any]) -> str:
    """The command line that trains a recipe with these changes."""
    settings = (f"--set {shlex.quote(f'{key}={_typed(value)}')}" for key, value in changes.items())
    return " ".join(["tui-ft train", shlex.quote(recipe), *settings])


def _typed(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _steps(device: Device) -> Iterator[Callable[[Rung], Rung | None]]:
    yield _fewer_at_once
    yield _recomputed
    yield _smaller_optimizer
    if device == "cuda":
        yield _paged_optimizer
    yield _adapters
    yield _four_bits
    yield _shorter


def _fewer_at_once(rung: Rung) -> Rung | None:
    train = rung.train
    if train.micro_batch == 1:
        return None
    half = train.micro_batch // 2
    accum = math.ceil(train.effective_batch / train.gpus / half)
    return _changed(rung, {"micro_batch": half, "grad_accum": accum})


def _recomputed(rung: Rung) -> Rung | None:
    return None if rung.train.gradient_checkpointing else _changed(rung, {"gradient_checkpointing": True})


def _smaller_optimizer(rung: Rung) -> Rung | None:
    return _changed(rung, {"optimizer": "adamw_8bit"}) if rung.train.optimizer == "adamw" else None


def _paged_optimizer(rung: Rung) -> Rung | None:
    paged = rung.train.optimizer.startswith("paged")
    return None if paged else _changed(rung, {"optimizer": "paged_adamw_8bit"})


def _adapters(rung: Rung) -> Rung | None:
    """LoRA for full training, at the learning rate that the plan finds for it."""
    return _with_method(rung, "lora", {"train.learning_rate": None}) if rung.method.name == "full" else None


def _four_bits(rung: Rung) -> Rung | None:
    return None if rung.method.name == "qlora" else _with_method(rung, "qlora", {})


def _shorter(rung: Rung) -> Rung | None:
    half = max(LENGTH_STEP, rung.train.seq_len // 2 // LENGTH_STEP * LENGTH_STEP)
    return _changed(rung, {"seq_len": half}) if half < rung.train.seq_len else None


def _with_method(rung: Rung, name: Any, besides: Mapping[str, Any]) -> Rung:
    method = replace(rung.method, name=name)
    if not method.rank:
        method = replace(method, rank=16, alpha=32)
    return replace(rung, method=method, changes={**rung.changes, "method.name": name, **besides})


def _changed(rung: Rung, settings: dict[str, Any]) -> Rung:
    keys = {f"train.{key}": value for key, value in settings.items()}
    return replace(rung, train=replace(rung.train, **settings), changes={**rung.changes, **keys})
