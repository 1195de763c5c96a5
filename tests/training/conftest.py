"""Real trainings of a tiny model, in child processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.sample_plan import make_plan
from tests.tiny_model import make
from tui_ft import recipe as recipes
from tui_ft.files import write_json
from tui_ft.planning.plan import MethodPlan, Plan
from tui_ft.runs import folder as folders
from tui_ft.runs import status
from tui_ft.runs.events import EventReader
from tui_ft.runs.folder import RunFolder
from tui_ft.settings import Home

PATIENCE_S = 120.0


@dataclass(frozen=True)
class Workshop:
    """A place where runs of the tiny model are made and trained."""

    model: Path
    home: Home
    zygote: Zygote

    def run(
        self,
        *,
        name: str = "tiny",
        method: dict[str, Any] | None = None,
        validation: bool = True,
        **train: Any,
    ) -> RunFolder:
        """A run with prepared rows, ready to be trained. `train` changes [train] of the plan."""
        plan = self.plan(method=method, **train)
        text = f'name = "{name}"\n[model]\nid = "{self.model}"\n[data]\npath = "rows.jsonl"\n'
        folder = folders.create(
            self.home, recipes.loads(text), plan, recipe_text=text, recipe_base=self.home.root
        )
        write_rows(folder.data / "train.parquet", range(24))
        write_rows(folder.data / "validation.parquet", range(24, 30 if validation else 24))
        nothing: dict[str, Any] = {
            "rows": {},
            "tokens": {},
            "learned": {},
            "dropped": {},
            "sources": [],
            "report": {},
        }
        write_json(folder.data / "splits.json", {"seq_len": 64, "loss_on": "answers", **nothing})
        return folder

    def plan(self, *, method: dict[str, Any] | None = None, **train: Any) -> Plan:
        """A plan for the tiny model: LoRA in fp32, 12 steps, evaluated every 4."""
        base = make_plan(model_folder=str(self.model), steps=12)
        settings: dict[str, Any] = {
            "epochs": 1.0,
            "learning_rate": 2e-2,
            "warmup_steps": 1,
            "eval_every": 4,
            "early_stopping": 0,
            **train,
        }
        return replace(
            base,
            method=replace(MethodPlan("lora", "sft", 4, 8, 0.05, "all-linear", False), **(method or {})),
            train=replace(base.train, **settings),
        )

    def start(self, folder: RunFolder, *args: str, fault: str = "") -> int:
        """Start a worker in the background; returns its pid. `fault` as in faults.py."""
        return self.zygote.start(folder, *args, fault=fault)

    def wait(self, pid: int) -> int:
        """Wait for a worker; returns its exit code, negative for a signal."""
        return self.zygote.ask(wait=pid)

    def train(self, folder: RunFolder, *args: str, fault: str = "") -> int:
        """Train to the end; returns the exit code."""
        return self.wait(self.start(folder, *args, fault=fault))


class Zygote:
    """The process that forks workers; see zygote.py. Started when first needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def start(self, folder: RunFolder, *args: str, fault: str = "") -> int:
        """Fork a worker for this run."""
        return self.ask(args=[str(folder.path), *args], log=str(folder.log), fault=fault)

    def ask(self, **request: Any) -> int:
        """One request, one number as the answer."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("zygote.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={
                    **os.environ,
                    "OMP_NUM_THREADS": "1",
                    "TOKENIZERS_PARALLELISM": "false",
                    "PYTHONPATH": str(Path(__file__).parents[2]),
                },
            )
            assert self._read() == "ready"
        assert self._process.stdin
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return int(self._read())

    def _read(self) -> str:
        assert self._process
        assert self._process.stdout
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            with self._process:
                assert self._process.stdin
                self._process.stdin.close()


def write_rows(path: Path, numbers: range) -> None:
    """Rows with a simple rule to learn: the answer repeats the question's token."""
    rows = []
    for number in numbers:
        token = 40 + number % 7
        question = [1, 20 + number % 5, token, token, 30 + number % 3]
        answer = [token] * (3 + number % 4) + [2]
        rows.append((question + answer, [-100] * len(question) + answer))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        pa.table(
            {
                "row_id": [str(number) for number in numbers],
                "input_ids": pa.array([ids for ids, _ in rows], pa.list_(pa.int32())),
                "labels": pa.array([labels for _, labels in rows], pa.list_(pa.int32())),
            }
        ),
        path,
    )


def events(folder: RunFolder, kind: str = "") -> list[dict[str, Any]]:
    """The events of a run, of one kind or all."""
    return [event for event in EventReader(folder.events).read() if not kind or event["kind"] == kind]


def losses(folder: RunFolder) -> list[float]:
    """The training loss of each step."""
    return [event["loss"] for event in events(folder, "step")]


def log_of(folder: RunFolder) -> str:
    """What the worker printed, for the message of a failed assertion."""
    return folder.log.read_text(errors="replace")[-4000:]


def wait_until(done: Callable[[], bool], folder: RunFolder, seconds: float = PATIENCE_S) -> None:
    """Poll until `done()`; fails with the log."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, log_of(folder)
        time.sleep(0.02)


def wait_for_step(folder: RunFolder, step: int) -> None:
    """Wait until a step was trained."""
    reader = EventReader(folder.events)
    seen = 0

    def reached() -> bool:
        nonlocal seen
        for event in reader.read():
            if event["kind"] == "step":
                seen = event["step"]
        return seen >= step

    wait_until(reached, folder)


def state_of(folder: RunFolder) -> str:
    """The state a reader sees."""
    return status.reality(folder).state


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """One tiny model for all tests of the session."""
    root = tmp_path_factory.mktemp("workshop")
    zygote = Zygote()
    yield Workshop(make(root / "model"), Home(root / "home"), zygote)
    zygote.close()


def read_json(path: Path) -> Any:
    """A JSON file."""
    return json.loads(path.read_text())
