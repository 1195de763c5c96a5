"""Run folders as a worker would leave them, written with the worker's own tools."""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.sample_plan import RECIPE, make_plan
from tui_ft import recipe as recipes
from tui_ft.runs import folder as folders
from tui_ft.runs import status
from tui_ft.runs.events import EventLog
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.status import State, Status
from tui_ft.settings import Home

STEPS = 105
GIB = 1 << 30


def make_run(home: Path, *, done: int = 61, broken_after: int | None = None, gpu: bool = True) -> RunFolder:
    """A run that has come to step `done`; from `broken_after` on its loss is not a number."""
    plan = make_plan(steps=STEPS)
    plan = replace(
        plan,
        train=replace(plan.train, epochs=3.0),
        memory=replace(plan.memory, peak_bytes=int(8.4 * GIB)),
    )
    text = RECIPE + "[limits]\nprice_per_hour = 0.55\n"
    folder = folders.create(Home(home), recipes.loads(text), plan, recipe_text=text, recipe_base=Path("/"))
    noise = random.Random(3)
    with EventLog(folder.events) as log:
        log.append("start", job="train", text="558 rows to learn from")
        for step in range(1, done + 1):
            broken = broken_after is not None and step > broken_after
            loss = math.nan if broken else 0.82 + 1.4 * math.exp(-step / 20) + noise.gauss(0, 0.05)
            log.append(
                "step",
                step=step,
                loss=loss,
                lr=1e-4 * (1 + math.cos(math.pi * step / STEPS)),
                grad_norm=math.nan if broken else 0.4 + noise.random() * 0.3,
                tokens_per_s=2310.0,
                tokens=step * 5300,
                memory_bytes=int(8.6 * GIB),
                seconds=18.0 + step % 3,
            )
            if step % 10 == 0:
                late = max(0, step - 50) * 0.002
                log.append("eval", step=step, eval_loss=0.95 + math.exp(-step / 14) + late, seconds=9.0)
                log.append("saved", step=step, text=f"saved step {step}")
        if not gpu:
            host = {"cpu": 0.5, "ram_used_bytes": 6 * GIB, "ram_total_bytes": 24 * GIB}
            log.append("gauges", gpus=[], host=host)
        else:
            card = {
                "name": "RTX 4090",
                "memory_bytes": int(8.6 * GIB),
                "total_bytes": 24 * GIB,
                "utilisation": 0.97,
                "temperature_c": 71,
                "power_w": 312.0,
            }
            log.append("gauges", gpus=[card])
    folder.log.write_text("loading the model\nstep 1\n", encoding="utf-8")
    return folder


def leave(folder: RunFolder, state: State, *, message: str = "", fix: str = "", step: int = 61) -> None:
    """The status an ended worker leaves behind."""
    now = time.time()
    status.write(
        folder,
        Status(
            state,
            pid=os.getpid(),
            started=now - 1200,
            heartbeat=now,
            step=step,
            steps=STEPS,
            message=message,
            fix=fix,
            best_step=50,
            best_loss=0.978,
        ),
    )


@contextmanager
def at_work(folder: RunFolder, state: State = "training", *, silent_s: float = 0.0) -> Iterator[None]:
    """While the block runs, this process is the run's worker. `silent_s` ago it gave its last heartbeat."""
    with status.hold(folder, "train"):
        now = time.time()
        status.write(
            folder,
            Status(
                state,
                pid=os.getpid(),
                process=status.process_identity(os.getpid()),
                started=now - 1200,
                heartbeat=now - silent_s,
                step=61,
                steps=STEPS,
                phase="training",
                best_step=50,
                best_loss=0.978,
            ),
        )
        yield


def alert(folder: RunFolder, what: str, action: str) -> None:
    """The worker raises an alert."""
    with EventLog(folder.events) as log:
        log.append("alert", id="no-gain", severity="warning", what=what, action=action, step=60)
