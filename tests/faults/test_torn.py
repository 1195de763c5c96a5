"""Files that are torn, missing or changed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import SETTINGS, assert_same, copied, cut_short
from tests.training.conftest import Workshop, events, log_of, wait_for_step
from tui_ft.runs import checkpoints
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.view import view

pytestmark = pytest.mark.train

FILES = (
    "adapter_config.json",
    "adapter_model.safetensors",
    "manifest.json",
    "optimizer.pt",
    "progress.json",
    "rng_state.pth",
    "scheduler.pt",
    "trainer_state.json",
)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "removed": Path.unlink,
    "cut in half": lambda path: os.truncate(path, path.stat().st_size // 2),
    "empty": lambda path: os.truncate(path, 0),
    "one bit flipped": _flip,
}


def test_these_are_all_files_of_a_checkpoint(dense: RunFolder) -> None:
    """A checkpoint gets a file that this matrix does not know: the matrix is incomplete until it is added."""
    assert sorted(path.name for path in (dense.checkpoints / "step-24").iterdir()) == sorted(FILES)


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("name", FILES)
def test_torn_file_in_the_newest_checkpoint(dense: RunFolder, tmp_path: Path, name: str, how: str) -> None:
    """Any one file of the newest checkpoint removed, cut in half, emptied or with one bit flipped: it is
    noticed and the checkpoint before is chosen."""
    run = copied(dense, tmp_path)
    DAMAGE[how](run.checkpoints / "step-24" / name)
    search = checkpoints.find_newest(run)
    assert search.newest is not None
    assert search.newest.step == 23
    ((torn, damage),) = search.torn
    assert torn == "step-24"
    assert (name if name != "manifest.json" else "manifest") in damage or "manifest" in damage


def test_resume_past_torn_checkpoints(
    workshop: Workshop, dense: RunFolder, whole: RunFolder, tmp_path: Path
) -> None:
    """A different file torn in each of the eight newest checkpoints: all are set aside by name, the ninth
    is used, bit for bit."""
    run = copied(dense, tmp_path)
    for number, name in enumerate(FILES):
        how = list(DAMAGE)[number % len(DAMAGE)]
        DAMAGE[how](run.checkpoints / f"step-{24 - number}" / name)
    cut_short(run, 24)
    assert workshop.train(run, "--resume") == 0, log_of(run)
    alerts = [alert for alert in view(run).alerts if alert.id == "torn-checkpoint"]
    assert len(alerts) == len(FILES)
    for number, alert in enumerate(alerts):
        assert f"step-{24 - number}" in alert.what
    assert events(run, "start")[-1]["resumed_from"] == 16
    assert len(list(run.checkpoints.glob("torn-step-*"))) == len(FILES)
    assert_same(run, whole)


def test_empty_newest_checkpoint(
    workshop: Workshop, dense: RunFolder, whole: RunFolder, tmp_path: Path
) -> None:
    """A checkpoint folder with nothing in it and a file of that name: both passed over, bit for bit."""
    run = copied(dense, tmp_path)
    cut_short(run, 20)
    (run.checkpoints / "step-21").mkdir()
    (run.checkpoints / "step-22").write_text("no folder")
    assert workshop.train(run, "--resume") == 0, log_of(run)
    assert events(run, "start")[-1]["resumed_from"] == 20
    assert_same(run, whole)


def test_every_checkpoint_torn(workshop: Workshop, dense: RunFolder, tmp_path: Path) -> None:
    """Every checkpoint torn: refused in a sentence, and nothing is deleted."""
    run = copied(dense, tmp_path)
    cut_short(run, 24)
    for path in run.checkpoints.glob("step-*"):
        _flip(path / "optimizer.pt")
    before = len(list(run.checkpoints.iterdir()))
    assert workshop.train(run, "--resume") == 2
    assert "no whole checkpoint" in view(run).message
    assert len(list(run.checkpoints.iterdir())) == before


@pytest.mark.parametrize("how", ["cut in half", "one bit flipped", "removed"])
def test_torn_training_rows(workshop: Workshop, dense: RunFolder, tmp_path: Path, how: str) -> None:
    """The prepared rows torn between a kill and the resume: refused, the file is named, nothing is
    trained."""
    run = copied(dense, tmp_path)
    cut_short(run, 20)
    DAMAGE[how](run.data / "train.parquet")
    steps = len(events(run, "step"))
    assert workshop.train(run, "--resume") == 2, log_of(run)
    found = view(run)
    assert found.state == "failed"
    assert "train.parquet" in log_of(run)
    assert len(events(run, "step")) == steps


@pytest.mark.parametrize("name", ["plan.json", "recipe.toml"])
def test_torn_plan_or_recipe(workshop: Workshop, dense: RunFolder, tmp_path: Path, name: str) -> None:
    """plan.json or recipe.toml torn: a resume is refused with the file's name; viewers still show the
    run."""
    run = copied(dense, tmp_path)
    cut_short(run, 20)
    os.truncate(run.path / name, (run.path / name).stat().st_size // 2)
    assert (view(run).state, view(run).step) == ("lost", 20)
    assert workshop.train(run, "--resume") == 2
    assert (view(run).state, view(run).step) == ("failed", 20)
    assert name in log_of(run)


def test_torn_status_and_events(
    workshop: Workshop, dense: RunFolder, whole: RunFolder, tmp_path: Path
) -> None:
    """status.json torn, events.jsonl ending in half a line and holding garbage: goes on, bit for bit."""
    run = copied(dense, tmp_path)
    cut_short(run, 20)
    os.truncate(run.status(), 20)
    with run.events.open("ab") as file:
        file.write(b'\x00\xff garbage\n[1,2]\n{"t":1,"kind":"step","step":2')
    assert workshop.train(run, "--resume") == 0, log_of(run)
    assert view(run).garbage == 3
    assert_same(run, whole)


def test_torn_status_while_training(workshop: Workshop, whole: RunFolder) -> None:
    """status.json emptied and removed while the run works: viewers see it alive, the run is unharmed."""
    run = workshop.run(**SETTINGS)
    pid = workshop.start(run)
    wait_for_step(run, 2)
    run.status().write_text("")
    assert view(run).alive
    run.status().unlink(missing_ok=True)
    assert view(run).alive
    assert workshop.wait(pid) == 0, log_of(run)
    assert_same(run, whole)


def test_lost_weights_of_the_base(workshop: Workshop, dense: RunFolder, tmp_path: Path) -> None:
    """The base model's folder gone at a resume: refused in a sentence; nothing of the run is touched."""
    run = copied(dense, tmp_path)
    cut_short(run, 20)
    plan = json.loads(run.plan.read_text())
    run.plan.write_text(json.dumps({**plan, "model_folder": str(tmp_path / "gone")}))
    assert workshop.train(run, "--resume") == 2
    assert view(run).message == f"the folder of the base model is gone: {tmp_path / 'gone'}"
    assert [found.step for found in checkpoints.listed(run)][-1] == 20
    shutil.rmtree(run.path)
