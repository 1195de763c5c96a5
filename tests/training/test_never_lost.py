"""Full disks, impatient spot machines, secrets and copies, each with a real training."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.training.conftest import Workshop, events, log_of, state_of, wait_for_step, wait_until
from tui_ft.runs import checkpoints, copies
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.view import view

pytestmark = pytest.mark.train

SETTINGS: dict[str, Any] = {"epochs": 2.0, "eval_every": 5, "early_stopping": 0}
EVERY_STEP = 1e-9
_MIB = 1 << 20


@pytest.fixture(scope="module")
def whole(workshop: Workshop) -> RunFolder:
    """The run that nothing happens to."""
    run = workshop.run(**SETTINGS)
    assert workshop.train(run) == 0, log_of(run)
    return run


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def same_weights(run: RunFolder, other: RunFolder, step: int) -> bool:
    """Whether weights and optimizer of a step are equal to the last bit."""
    return all(
        (run.checkpoints / f"step-{step}" / name).read_bytes()
        == (other.checkpoints / f"step-{step}" / name).read_bytes()
        for name in ("adapter_model.safetensors", "optimizer.pt")
    )


def test_a_full_disk_pauses_the_run_and_leaves_what_was_saved(
    workshop: Workshop, whole: RunFolder, small_disk: Path
) -> None:
    made = workshop.run(**SETTINGS, save_every_minutes=EVERY_STEP)
    run = RunFolder(small_disk / made.id)
    shutil.copytree(made.path, run.path)
    pid = workshop.start(run, fault="slow@0.05")
    wait_for_step(run, 4)
    others = small_disk / "of-others"
    with others.open("wb", buffering=0) as file:
        for size in (_MIB, 4096, 64):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    assert workshop.wait(pid) == 0, log_of(run)
    found = view(run)
    assert found.state == "paused", log_of(run)
    assert found.message.startswith("paused because the disk")
    assert f"tui-ft resume {run.id}" in found.fix
    newest = checkpoints.find_newest(run)
    assert newest.newest is not None
    assert not newest.torn
    assert not list(run.checkpoints.glob(".saving-*"))
    others.unlink()
    assert workshop.train(run, "--resume") == 0, log_of(run)
    assert state_of(run) == "finished"
    assert same_weights(run, whole, 24)


def test_the_first_checkpoint_comes_within_the_hour_whatever_the_recipe_says(workshop: Workshop) -> None:
    run = workshop.run(epochs=1.0, eval_every=100, save_every_minutes=600.0, validation=False)
    assert workshop.train(run, fault="first-save@0") == 0, log_of(run)
    saved = [(event["step"], event["reason"]) for event in events(run, "checkpoint")]
    assert saved == [(1, "time"), (12, "end")]


def test_a_signal_in_a_long_update_saves_at_once_and_exactly(workshop: Workshop) -> None:
    settings: dict[str, Any] = {
        "micro_batch": 1,
        "grad_accum": 8,
        "epochs": 2.0,
        "eval_every": 3,
        "early_stopping": 0,
    }
    whole, run = workshop.run(**settings), workshop.run(**settings)
    assert workshop.train(whole) == 0, log_of(whole)
    pid = workshop.start(run, fault="slow@0.25")
    wait_for_step(run, 2)
    time.sleep(0.6)  # into the third update, which takes two seconds
    began = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    assert workshop.wait(pid) == 0, log_of(run)
    assert time.monotonic() - began < 1.5
    found = view(run)
    assert (found.state, found.message) == ("stopped", "stopped by SIGTERM; saved at step 2")
    assert workshop.train(run, "--resume") == 0, log_of(run)
    assert same_weights(run, whole, 6)
    assert view(run).curves["loss"] == view(whole).curves["loss"]


def test_no_secret_reaches_a_file_of_the_run(workshop: Workshop) -> None:
    secret = "planted0secret1of2somebody"
    run = workshop.run(epochs=1.0, save_every_minutes=EVERY_STEP)
    assert workshop.train(run, fault=f"print@{secret}") == 4
    assert "a library says [secret] and [secret]" in log_of(run)
    assert "a logger says [secret]" in log_of(run)
    assert "[secret]" in view(run).message
    files = [path for path in run.path.rglob("*") if path.is_file()]
    assert len(files) > 10
    for path in files:
        held = path.read_bytes()
        assert secret.encode() not in held, path
        assert secret[::-1].encode() not in held, path
    assert not list(run.path.rglob("training_args.bin"))


def test_a_run_is_copied_while_it_trains_and_goes_on_from_its_copy(
    workshop: Workshop, whole: RunFolder, tmp_path: Path
) -> None:
    run = workshop.run(**SETTINGS, save_every_minutes=EVERY_STEP)
    run.recipe.write_text(run.recipe.read_text() + f'[copies]\nto = ["{tmp_path}/none", "{tmp_path}"]\n')
    pid = workshop.start(run, fault="slow@0.2")
    wait_until(lambda: any(event["to"] == str(tmp_path) for event in events(run, "copied")), run)
    os.kill(pid, signal.SIGKILL)
    workshop.wait(pid)
    wait_until(lambda: not copies.missing(run, [str(tmp_path)]), run)
    copy = RunFolder(tmp_path / run.id)
    newest = checkpoints.find_newest(copy).newest
    assert newest is not None
    assert newest.step == checkpoints.listed(run)[-1].step
    copy.recipe.write_text(copy.recipe.read_text().partition("[copies]")[0])
    assert workshop.train(copy, "--resume") == 0, log_of(copy)
    assert same_weights(copy, whole, 24)
    (alert,) = (alert for alert in view(run).alerts if alert.id == "copy-failed")
    assert "none" in alert.what


def test_a_disk_too_full_for_the_dry_runs_save_says_so_before_the_first_step(
    workshop: Workshop, small_disk: Path
) -> None:
    made = workshop.run(**SETTINGS)
    run = RunFolder(small_disk / made.id)
    shutil.copytree(made.path, run.path)
    free = shutil.disk_usage(small_disk).free
    (small_disk / "of-others").write_bytes(bytes(free - 100_000))
    assert workshop.train(run) == 3, log_of(run)
    found = view(run)
    assert found.state == "failed"
    assert found.message.endswith("and nothing was saved yet")
    assert "Free some space" in found.fix
    assert f"tui-ft train {run.recipe}" in found.fix
    assert not events(run, "step")
