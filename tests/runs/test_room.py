"""Room for checkpoints, on a disk that is really full."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runs.test_checkpoints import save as saved
from tui_ft.errors import DiskFull
from tui_ft.files import disk_problem
from tui_ft.runs import checkpoints, room
from tui_ft.runs.checkpoints import Checkpoint
from tui_ft.runs.diagnosis import explain, is_disk_full
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.room import Room

_MIB = 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[RunFolder]:
    """A run on a file system of 8 MiB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        (place / "run").mkdir()
        yield RunFolder(place / "run")
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def write(folder: RunFolder, step: int, mib: int) -> Checkpoint:
    """A checkpoint of so many MiB, written as a training does."""
    unfinished = checkpoints.temporary(folder, step)
    try:
        (unfinished / "weights").write_bytes(os.urandom(mib * _MIB))
    except OSError as error:
        raise disk_problem(error, unfinished) from error
    return checkpoints.seal(folder, unfinished, step, reason="time")


def steps(folder: RunFolder) -> list[int]:
    """Steps of the whole checkpoints."""
    return [found.step for found in checkpoints.listed(folder)]


def test_low_is_less_than_one_and_a_half_checkpoints() -> None:
    assert Room(149, 100).low
    assert not Room(150, 100).low
    assert not Room(None, 100).low
    assert not Room(1, None).low


def test_older_checkpoints_make_room_but_the_best_and_the_newest_stay(small_disk: RunFolder) -> None:
    for step in (1, 2, 3):
        write(small_disk, step, 2)
    assert room.look(small_disk).low
    assert room.make(small_disk, best_step=1) == [2]
    assert steps(small_disk) == [1, 3]
    room.save(small_disk, lambda: write(small_disk, 4, 2), best_step=1)
    assert steps(small_disk)[-1] == 4


def test_a_newest_checkpoint_that_is_the_best_is_kept_alone(small_disk: RunFolder) -> None:
    for step in (1, 2, 3):
        write(small_disk, step, 2)
    room.save(small_disk, lambda: write(small_disk, 4, 5), best_step=3)
    assert steps(small_disk) == [3, 4]


def test_a_disk_that_fills_in_the_middle_of_a_save_leaves_what_was_whole(small_disk: RunFolder) -> None:
    write(small_disk, 1, 1)
    with pytest.raises(DiskFull, match="the disk") as caught:
        room.save(small_disk, lambda: write(small_disk, 2, 20), best_step=None)
    assert "tui-ft resume" in caught.value.fix
    assert checkpoints.find_newest(small_disk).newest == checkpoints.listed(small_disk)[0]
    assert not list(small_disk.checkpoints.glob(".saving-*"))
    room.save(small_disk, lambda: write(small_disk, 3, 1), best_step=None)


def test_a_second_try_comes_after_giving_up_an_older_one(small_disk: RunFolder) -> None:
    write(small_disk, 1, 2)
    write(small_disk, 2, 1)
    # It looks as if there were room; a checkpoint that has grown shows otherwise.
    assert not room.look(small_disk).low
    room.save(small_disk, lambda: write(small_disk, 3, 6), best_step=None)
    assert steps(small_disk) == [2, 3]


def test_the_last_words_find_room(small_disk: RunFolder) -> None:
    room.set_ballast(small_disk)
    with pytest.raises(OSError, match="space"):
        (small_disk.path / "others").write_bytes(bytes(16 * _MIB))
    with pytest.raises(OSError, match="space"):
        (small_disk.path / "words").write_bytes(bytes(4096))
    room.drop_ballast(small_disk)
    (small_disk.path / "words").write_bytes(bytes(4096))


def test_a_file_that_may_not_grow_is_a_full_disk(run: RunFolder) -> None:
    saved(run, 1)
    code = (
        "import resource, sys; from pathlib import Path\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE,(9999,9999))\n"
        "from tests.runs.test_room import write; from tui_ft.runs import room\n"
        "from tui_ft.runs.folder import RunFolder; from tui_ft.errors import DiskFull\n"
        "folder = RunFolder(Path(sys.argv[1]))\n"
        "try: room.save(folder, lambda: write(folder, 2, 1), best_step=None)\n"
        "except DiskFull as error: print(error.what)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(run.path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout == "the disk takes no more, or a quota is used up\n"
    assert steps(run) == [1]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        OSError(122, "Disk quota exceeded"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 35968 vs 35856"),
        RuntimeError("SafetensorError: I/O error: No space left on device (os error 28)"),
    ],
)
def test_every_librarys_words_for_a_full_disk_are_known(error: Exception) -> None:
    assert is_disk_full(error)
    assert isinstance(explain(error), DiskFull)
    assert not is_disk_full(ValueError("something else"))
