"""Room on the disk for the next checkpoint: watched, made, and what happens when there is none.

Old checkpoints of the run itself are given up first, never the best and never the newest whole one. When
that is not enough the run pauses; it never crashes with what it has saved in danger.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tui_ft.errors import DiskFull
from tui_ft.files import disk_problem
from tui_ft.planning.plan import Plan
from tui_ft.runs import checkpoints
from tui_ft.runs.checkpoints import Checkpoint
from tui_ft.runs.diagnosis import is_disk_full
from tui_ft.runs.folder import RunFolder
from tui_ft.text import size

MARGIN = 1.5  # times the next checkpoint: others write to the same disk
_BALLAST = 1 << 20  # bytes set aside, so that a full disk still takes a last word


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes free where the run is kept, and bytes of its next checkpoint; None when unknown."""

    free_bytes: int | None
    next_bytes: int | None

    @property
    def low(self) -> bool:
        """Whether the next checkpoint may not fit."""
        if self.free_bytes is None or self.next_bytes is None:
            return False
        return self.free_bytes < MARGIN * self.next_bytes

    def words(self) -> str:
        """Both numbers for people."""
        return f"{size(self.free_bytes)} free, the next checkpoint takes about {size(self.next_bytes)}"


def look(folder: RunFolder, plan: Plan | None = None) -> Room:
    """How much room there is. The next checkpoint is as large as the last one, the first as planned."""
    saved = checkpoints.listed(folder)
    if saved:
        following: int | None = saved[-1].size_bytes
    else:
        following = planned_checkpoint_bytes(plan) if plan else None
    return Room(_free(folder.path), following)


def planned_checkpoint_bytes(plan: Plan) -> int | None:
    """Bytes of one checkpoint by the plan; None when it does not say."""
    parts = [need.parts["checkpoints"] for need in plan.disks if "checkpoints" in need.parts]
    return parts[0] // (plan.train.keep_checkpoints + 2) if parts else None


def make(folder: RunFolder, *, best_step: int | None) -> list[int]:
    """Give up older checkpoints, oldest first, until there is room; returns their steps."""
    removed: list[int] = []
    while look(folder).low and (oldest := _give_up_one(folder, best_step)) is not None:
        removed.append(oldest)
    return removed


def save(folder: RunFolder, write: Callable[[], Checkpoint], *, best_step: int | None) -> Checkpoint:
    """Write a checkpoint, making room before and, when the disk is full in the middle of it, once more.

    Raises DiskFull when that does not help. Older checkpoints are whole then, and the torn one is gone.
    """
    make(folder, best_step=best_step)
    try:
        return write()
    except Exception as error:
        if not is_disk_full(error):
            raise
        checkpoints.sweep(folder)
        if _give_up_one(folder, best_step) is None:
            raise _full(folder) from error
    while _give_up_one(folder, best_step) is not None:
        pass
    try:
        return write()
    except Exception as error:
        if not is_disk_full(error):
            raise
        checkpoints.sweep(folder)
        raise _full(folder) from error


def set_ballast(folder: RunFolder) -> None:
    """Set a little room aside. A disk that is too full for that will say so itself, and soon."""
    path = _ballast(folder)
    if path.exists():
        return
    try:
        path.write_bytes(os.urandom(_BALLAST))  # file systems that compress would make nothing of zeros
    except OSError:
        drop_ballast(folder)


def drop_ballast(folder: RunFolder) -> None:
    """Give the room free for the last words of a run."""
    with contextlib.suppress(OSError):
        _ballast(folder).unlink()


def _give_up_one(folder: RunFolder, best_step: int | None) -> int | None:
    """Remove the oldest checkpoint that is neither the best nor the newest; None when there is none."""
    saved = checkpoints.listed(folder)
    if not any(found.step != best_step for found in saved[:-1]):
        return None
    others = sum(found.step != best_step for found in saved)
    removed = checkpoints.prune(folder, keep=others - 1, best_step=best_step)
    return removed[0] if removed else None


def _full(folder: RunFolder) -> DiskFull:
    room = look(folder)
    if room.low:
        return DiskFull(
            f"the disk is full: {room.words()}",
            where=str(folder.path),
            fix=f"Free some space there, then go on with `tui-ft resume {folder.id}`.",
        )
    return DiskFull(
        "the disk takes no more, or a quota is used up",
        where=str(folder.path),
        fix=f"Free some space there, then go on with `tui-ft resume {folder.id}`.",
    )


def _free(path: Path) -> int | None:
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def _ballast(folder: RunFolder) -> Path:
    return folder.path / ".ballast"


def check_writable(path: Path) -> None:
    """Raises EnvironmentProblem when nothing can be written into this folder, made if need be."""
    trial = path / f".trial-{os.getpid()}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        trial.write_bytes(b"written and read back")
        trial.unlink()
    except OSError as error:
        raise disk_problem(error, trial) from error
