"""The disk: full, limited, read-only."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.faults.conftest import EVERY_STEP, SETTINGS, assert_same, read_only, small_disk, start, suffer
from tests.training.conftest import Workshop, events, log_of, state_of, wait_for_step
from tui_ft.errors import EnvironmentProblem
from tui_ft.runs import checkpoints, launch, status
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.view import view

pytestmark = pytest.mark.train

MB = 1 << 20


def test_disk_full_for_checkpoints(workshop: Workshop, whole: RunFolder) -> None:
    """A real file system gets full in the middle of a save: paused, what was saved is whole, goes on
    exactly once there is room."""
    run = workshop.run(**SETTINGS, save_every_minutes=EVERY_STEP)
    with small_disk(run.checkpoints, 2 * MB) as disk:
        fault = ["ballast", 8, str(disk / "others.bin")]
        assert suffer(workshop, run, faults=[fault]) in (0, 3), log_of(run)
        found = view(run)
        assert found.state == "paused"
        assert "disk" in found.message
        assert f"tui-ft resume {run.id}" in found.fix
        assert checkpoints.find_newest(run).torn == ()
        newest = checkpoints.listed(run)[-1].step
        assert newest >= 7
        (disk / "others.bin").unlink()
        assert workshop.train(run, "--resume") == 0, log_of(run)
        assert events(run, "start")[-1]["resumed_from"] == newest
        assert_same(run, whole)


def test_disk_full_for_everything(workshop: Workshop, whole: RunFolder) -> None:
    """The disk with the whole run gets full, events and status included: it still says so with its last
    words, and goes on exactly."""
    run = workshop.run(**SETTINGS, save_every_minutes=EVERY_STEP)
    saved = run.path.with_name("aside")
    shutil.move(run.path, saved)
    with small_disk(run.path, 8 * MB) as disk:
        shutil.copytree(saved, run.path, dirs_exist_ok=True)
        fault = ["ballast", 8, str(disk / "others.bin")]
        assert suffer(workshop, run, faults=[fault]) in (0, 3), log_of(run)
        found = view(run)
        assert found.state == "paused"
        assert "disk" in found.message
        assert not found.garbage
        assert checkpoints.find_newest(run).torn == ()
        (disk / "others.bin").unlink()
        assert workshop.train(run, "--resume") == 0, log_of(run)
        assert_same(run, whole)


def test_writes_torn_by_a_limit(workshop: Workshop, whole: RunFolder) -> None:
    """A size limit (RLIMIT_FSIZE, as a quota) tears a write in the middle: no torn checkpoint is left, goes
    on exactly."""
    run = workshop.run(**SETTINGS, save_every_minutes=EVERY_STEP)
    assert suffer(workshop, run, faults=[["file_limit", 8, 30_000]]) in (0, 3), log_of(run)
    found = view(run)
    assert found.state == "paused"
    assert checkpoints.find_newest(run).torn == ()
    assert checkpoints.listed(run)[-1].step == 7
    assert workshop.train(run, "--resume") == 0, log_of(run)
    assert_same(run, whole)


def test_checkpoints_folder_becomes_read_only(workshop: Workshop, whole: RunFolder) -> None:
    """checkpoints/ turns read-only while the run works: it fails in a sentence, nothing saved is lost, goes
    on exactly."""
    run = workshop.run(**SETTINGS, save_every_minutes=EVERY_STEP)
    pid = workshop.start(run)
    wait_for_step(run, 5)
    with read_only(run.checkpoints):
        assert workshop.wait(pid) == 3, log_of(run)
        found = view(run)
        assert found.state == "failed"
        assert found.message == "this folder may not be written to"
        assert checkpoints.listed(run)[-1].step >= 4
    assert workshop.train(run, "--resume") == 0, log_of(run)
    assert_same(run, whole)


def test_run_folder_is_read_only(workshop: Workshop) -> None:
    """The run's folder is read-only at the start: refused in a sentence, no process is left."""
    run = workshop.run(**SETTINGS)
    with read_only(run.path):
        with pytest.raises(EnvironmentProblem, match="may not be written to"):
            launch.start(run, "train")
        assert not status.alive(run)
    assert state_of(run) == "queued"


def test_run_folder_becomes_read_only(workshop: Workshop, whole: RunFolder, tmp_path: Path) -> None:
    """The whole run folder turns read-only while the run works: viewers see it lost or failed, no
    checkpoint is torn, goes on exactly."""
    run = workshop.run(**SETTINGS, save_every_minutes=EVERY_STEP)
    pid = start(workshop, run, faults=[])
    wait_for_step(run, 5)
    with read_only(run.path):
        assert workshop.wait(pid) == 3, log_of(run)
        assert state_of(run) in ("lost", "failed")
        assert checkpoints.find_newest(run).torn == ()
    assert workshop.train(run, "--resume") == 0, log_of(run)
    assert_same(run, whole)
