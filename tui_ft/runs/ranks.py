"""The processes of a run on several GPUs: `ranks/rank-N` says who each is and when it was last heard.

The run's own process supervises them: it holds the lock, and ends all of them when one is dead or stuck.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from tui_ft.files import write_json
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.status import process_runs

BEAT_S = 1.0
SILENT_S = 30.0  # a process that is alive but says nothing for so long is stuck
WAITING_S = 1800.0  # as long as NCCL waits: the main thread of a rank did nothing new


@dataclass(frozen=True, slots=True)
class Rank:
    """One process. Times are seconds of the machine's monotonic clock, which nobody sets.

    `time` is its last heartbeat, `moved` when its main thread last got on, `marks` how often it did.
    `ended` is its exit code once it has one; `error` and `fix` say what it failed with.
    """

    rank: int
    pid: int
    process: str
    time: float
    moved: float = 0.0
    marks: int = 0
    device: str = ""
    ended: int | None = None
    error: str = ""
    fix: str = ""

    @property
    def name(self) -> str:
        """How people are told which one."""
        return f"rank {self.rank} (pid {self.pid})"

    @property
    def alive(self) -> bool:
        """Whether its process still runs."""
        return process_runs(self.pid, self.process) is True


def folder_of(run: RunFolder) -> Path:
    """Where the ranks of a run have their files."""
    return run.path / "ranks"


def write(run: RunFolder, rank: Rank) -> None:
    """Replace the rank's file. Raises EnvironmentProblem when the disk or folder refuses."""
    write_json(folder_of(run) / f"rank-{rank.rank}", asdict(rank), durable=False)


def read(run: RunFolder) -> tuple[Rank, ...]:
    """All ranks that have said something, in order. Files that are none are passed over."""
    return tuple(sorted(_read(run), key=lambda rank: rank.rank))


def _read(run: RunFolder) -> Iterator[Rank]:
    names = {field.name for field in fields(Rank)}
    for path in folder_of(run).glob("rank-*"):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            yield Rank(**{key: value for key, value in document.items() if key in names})
        except (OSError, ValueError, TypeError, AttributeError):
            continue


def clear(run: RunFolder) -> None:
    """Forget the ranks of an earlier start; those that still run are ended first."""
    kill(read(run))
    shutil.rmtree(folder_of(run), ignore_errors=True)


def kill(ranks: Sequence[Rank], number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to exactly these processes, where they still run."""
    for rank in ranks:
        if rank.alive:
            try:
                os.kill(rank.pid, number)
            except ProcessLookupError:
                continue


@dataclass(frozen=True, slots=True)
class Trouble:
    """The rank that ends the run, and why."""

    rank: Rank
    what: str
    fix: str
    stuck: bool = False


def dead(ranks: Sequence[Rank], alive: Collection[int]) -> Rank | None:
    """A rank that is gone without having said how it ended. `alive` holds the pids that still run."""
    return next((rank for rank in ranks if rank.ended is None and rank.pid not in alive), None)


def stuck(ranks: Sequence[Rank], alive: Collection[int], now: float) -> Trouble | None:
    """A rank that is alive and silent; or all wait for one whose main thread does nothing."""
    living = [rank for rank in ranks if rank.ended is None and rank.pid in alive]
    for rank in living:
        silent = now - rank.time
        if silent > SILENT_S:
            return Trouble(
                rank, f"{rank.name} is stuck: not heard of for {silent:.0f} s", _STUCK_FIX, stuck=True
            )
    waiting = bool(living) and all(rank.moved and now - rank.moved > WAITING_S for rank in living)
    if waiting:
        behind = min(living, key=lambda rank: (rank.marks, rank.moved))
        what = f"{behind.name} is stuck: the others wait for it since {now - behind.moved:.0f} s"
        return Trouble(behind, what, _STUCK_FIX, stuck=True)
    return None


_STUCK_FIX = (
    "Its stack is in worker.log. `tui-ft resume` goes on from the last checkpoint; on GPUs without NVLink "
    "NCCL_P2P_DISABLE=1 helps against some hangs."
)


def died(rank: Rank, exit_code: int | None) -> Trouble:
    """What to say of a rank that is gone. `exit_code` is negative for a signal, None when nobody knows."""
    if exit_code is None:
        return Trouble(rank, f"{rank.name} died without a word", _DEAD_FIX)
    if exit_code >= 0:
        return Trouble(rank, f"{rank.name} ended with code {exit_code}", _DEAD_FIX)
    fix = _DEAD_FIX
    if exit_code == -signal.SIGKILL:
        fix = "Signal 9 is most often the kernel's when memory (RAM) ran out. " + fix
    return Trouble(rank, f"{rank.name} died: killed by signal {-exit_code}", fix)


_DEAD_FIX = "The other ranks were ended too. `tui-ft resume` goes on from the last checkpoint."


def failed(ranks: Sequence[Rank]) -> Trouble | None:
    """The rank that failed first with an error of its own; a sentence all of them give needs no name."""
    broken = sorted((rank for rank in ranks if rank.error), key=lambda rank: rank.time)
    if not broken:
        return None
    first = broken[0]
    alone = first.rank != 0 and any(rank.error != first.error for rank in ranks)
    what = f"{first.name}: {first.error}" if alone else first.error
    return Trouble(first, what, first.fix)
