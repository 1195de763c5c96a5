"""Real trainings of a tiny model to which something happens, and the one to which nothing does."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.training.conftest import Workshop, log_of, state_of
from tests.training.conftest import workshop as workshop  # the fixture
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.view import view

# Dropout, two epochs and an evaluation every fifth step: everything that random numbers and counters touch.
SETTINGS: dict[str, Any] = {"epochs": 2.0, "eval_every": 5, "early_stopping": 5}
STEPS = 24
EVERY_STEP = 1e-9  # minutes between saves
EXACT = ("adapter_model.safetensors", "optimizer.pt", "rng_state.pth", "scheduler.pt")


@pytest.fixture(scope="session")
def whole(workshop: Workshop) -> RunFolder:
    """The run that nobody interrupts."""
    run = workshop.run(**SETTINGS)
    assert workshop.train(run) == 0, log_of(run)
    return run


@pytest.fixture(scope="session")
def dense(workshop: Workshop) -> RunFolder:
    """A whole run that has saved at every step and kept ten checkpoints."""
    run = workshop.run(**SETTINGS, save_every_minutes=EVERY_STEP, keep_checkpoints=10)
    assert workshop.train(run) == 0, log_of(run)
    return run


def start(workshop: Workshop, run: RunFolder, *args: str, faults: list[list[Any]]) -> int:
    """Start a worker to which these faults happen; returns its pid."""
    return workshop.zygote.ask(
        check="work",
        module="tests.faults.injected",
        args=[[str(run.path), *args], faults],
        log=str(run.log),
    )


def suffer(workshop: Workshop, run: RunFolder, *args: str, faults: list[list[Any]]) -> int:
    """Train with these faults until the worker ends; returns its exit code, negative for a signal."""
    return workshop.wait(start(workshop, run, *args, faults=faults))


def assert_same(run: RunFolder, whole: RunFolder) -> None:
    """Finished, with bit for bit the weights, curves, counters and best step of the other run."""
    assert state_of(run) == "finished", log_of(run)
    last = f"step-{STEPS}"
    for name in EXACT:
        mine, other = run.checkpoints / last / name, whole.checkpoints / last / name
        assert mine.read_bytes() == other.read_bytes(), name
    weights = EXACT[0]
    assert (run.adapter / weights).read_bytes() == (whole.adapter / weights).read_bytes()
    found, expected = view(run), view(whole)
    assert found.curves["loss"] == expected.curves["loss"]
    assert found.best == expected.best
    assert found.tokens == expected.tokens
    assert not list(run.checkpoints.glob(".*"))


def copied(run: RunFolder, place: Path) -> RunFolder:
    """The same run somewhere else, to be damaged."""
    twin = RunFolder(place / run.id)
    shutil.copytree(run.path, twin.path)
    return twin


def cut_short(run: RunFolder, steps: int) -> None:
    """Make it a run whose process died after so many steps: later checkpoints and the end are gone."""
    for path in run.checkpoints.glob("step-*"):
        if int(path.name.removeprefix("step-")) > steps:
            shutil.rmtree(path)
    shutil.rmtree(run.adapter)
    lines = run.events.read_bytes().splitlines(keepends=True)
    found = (json.loads(line) for line in lines)
    last = next(
        i for i, event in enumerate(found) if event.get("step") == steps + 1 or event["kind"] == "artefact"
    )
    run.events.write_bytes(b"".join(lines[:last]))
    document = json.loads(run.status().read_text())
    run.status().write_text(json.dumps({**document, "state": "training", "step": steps, "message": ""}))


@contextmanager
def small_disk(place: Path, size: int) -> Iterator[Path]:
    """A file system of so many bytes at `place`. Skips the test where none may be mounted."""
    place.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place))
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder that refuses even root while the block runs. Skips the test where nothing may be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    _mount("--bind", str(folder), str(folder))
    try:
        _mount("-o", "remount,bind,ro", str(folder))
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(*args: str) -> None:
    try:
        done = subprocess.run(["mount", *args], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if done.returncode:
        pytest.skip(f"nothing may be mounted here: {done.stderr.strip()}")
