"""The state of a run, and whether its process still lives.

A worker says what it does in status.json and holds a lock for as long as it lives. Readers decide
that a run is *lost*: its status says it works, and nobody holds the lock.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from tui_ft.errors import InputError
from tui_ft.files import disk_problem, write_json
from tui_ft.redact import redact
from tui_ft.runs.folder import Job, RunFolder

State = Literal[
    "queued",
    "starting",
    "training",
    "evaluating",
    "exporting",
    "saving",
    "pausing",
    "paused",
    "stopping",
    "stopped",
    "finished",
    "failed",
    "lost",
]

WORKING: frozenset[State] = frozenset(
    ("starting", "training", "evaluating", "exporting", "saving", "pausing", "stopping")
)
HEARTBEAT_S = 5.0
SILENT_AFTER_S = 60.0

_LOCK_TRIES = 40  # readers hold the lock for microseconds while they look; a start outwaits them


@dataclass(frozen=True, slots=True)
class Status:
    """What a job says of itself. Times are seconds since the epoch."""

    state: State
    job: Job = "train"
    pid: int | None = None
    process: str = ""  # identity of that process, see `process_identity`
    started: float | None = None
    heartbeat: float | None = None
    beat: float | None = None  # the heartbeat by this machine's monotonic clock, which nobody sets
    step: int = 0
    steps: int | None = None
    phase: str = ""  # what it is doing, in words
    message: str = ""  # how it ended, in one sentence
    fix: str = ""
    best_step: int | None = None
    best_loss: float | None = None
    done: int = 0  # progress inside the phase, e.g. rows answered
    total: int | None = None
    oom_counter: str = ""  # file that counts kills for want of memory in the process' cgroup
    oom_kills: int | None = None  # what it said when the process began

    @property
    def working(self) -> bool:
        """True when it says that a process is at work."""
        return self.state in WORKING


@dataclass(frozen=True, slots=True)
class Reality:
    """A status held against what is really there."""

    status: Status
    alive: bool
    silent_s: float | None  # seconds without a heartbeat, only when that is worrying

    @property
    def state(self) -> State:
        """The status' state, or `lost` when it claims to work and no process does.

        A run that waits is lost when the queue it waits in is gone.
        """
        if self.status.working and not self.alive:
            return "lost"
        return "lost" if self.status.state == "queued" and self._left_alone else self.status.state

    @property
    def _left_alone(self) -> bool:
        waits_for = self.status.pid if self.status.process else None
        return waits_for is not None and process_runs(waits_for, self.status.process) is False

    @property
    def message(self) -> str:
        """One sentence about the state, "" when there is nothing to say."""
        if self.state == "lost" and self.status.state == "queued":
            return "the queue ended before its turn came"
        if self.state == "lost":
            return f"the process ended without a word while {self.status.phase or self.status.state}"
        if self.silent_s is not None:
            return f"no heartbeat for {self.silent_s:.0f} s"
        return self.status.message


def write(folder: RunFolder, status: Status, *, durable: bool = False) -> None:
    """Replace the job's status atomically. Heartbeats need not be `durable`, endings should be.

    Raises EnvironmentProblem when the disk or folder refuses.
    """
    told = replace(status, message=redact(status.message), fix=redact(status.fix))
    write_json(folder.status(status.job), asdict(told), durable=durable)


def read(folder: RunFolder, job: Job = "train") -> Status | None:
    """The job's status; None when there is none or it is unreadable. Unknown keys are passed over."""
    try:
        document = json.loads(folder.status(job).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return _from_document(document, job)


def reality(folder: RunFolder, job: Job = "train", *, now: float | None = None) -> Reality:
    """The job's status and whether its process lives. Never raises."""
    holder = Holder.read(folder)
    alive = holder is not None and holder.job == job
    status = read(folder, job)
    if status is None:
        unread = folder.status(job).exists()
        status = Status("starting" if alive or unread else "queued", job)
    silent = _silent_s(status, now)
    worrying = alive and status.working and silent is not None and silent > SILENT_AFTER_S
    return Reality(status, alive, silent if worrying else None)


def _silent_s(status: Status, now: float | None) -> float | None:
    """Seconds since the last heartbeat, by the monotonic clock where worker and reader share one."""
    shared = status.pid is not None and process_runs(status.pid, status.process)
    if now is None and shared and status.beat is not None:
        return time.monotonic() - status.beat
    return None if status.heartbeat is None else (time.time() if now is None else now) - status.heartbeat


def alive(folder: RunFolder) -> bool:
    """True when any process works in this folder."""
    return Holder.read(folder) is not None


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the run's lock."""

    job: Job
    pid: int | None
    process: str

    @classmethod
    def read(cls, folder: RunFolder) -> Holder | None:
        """The process at work in the folder; None when there is none.

        The lock decides. A lock held by an orphaned helper of a dead worker does not count: the pid and
        start time written into it must still be true, where they can be checked from here.
        """
        try:
            with folder.alive.open("rb") as file:
                held = _held_by_another(file.fileno())
                text = file.read(4096)
        except OSError:
            return None
        try:
            document = json.loads(text)
            holder = cls(document["job"], document["pid"], document["process"])
        except (ValueError, KeyError, TypeError):
            # A start is between taking the lock and signing it.
            return cls("train", None, "") if held else None
        known = process_runs(holder.pid, holder.process) if holder.pid else None
        if held is None:
            return holder if known else None
        return holder if held and known is not False else None


@contextmanager
def hold(folder: RunFolder, job: Job, *, inherited: int | None = None) -> Iterator[int]:
    """Hold the run's lock while the block runs; yields the descriptor.

    `inherited` is a descriptor on which the starter already holds it. Raises InputError when another
    process works in the folder, EnvironmentProblem when the folder refuses.
    """
    handle = take_lock(folder, job) if inherited is None else inherited
    try:
        sign(handle, job, os.getpid())
        yield handle
    finally:
        os.close(handle)


def take_lock(folder: RunFolder, job: Job) -> int:
    """Lock the folder for `job`; the caller closes the descriptor, which frees it.

    Raises InputError when another process works in the folder, EnvironmentProblem when it refuses.
    """
    try:
        handle = os.open(folder.alive, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise disk_problem(error, folder.alive) from error
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.005)
            continue
        except OSError:
            # A file system without locks: pid and start time have to do.
            if Holder.read(folder) is not None:
                break
        sign(handle, job, None)
        return handle
    os.close(handle)
    holder = Holder.read(folder)
    doing = {"train": "training", "evaluate": "being evaluated", "export": "being exported"}
    raise InputError(
        f"this run is already {doing[holder.job if holder else job]}"
        + (f" (process {holder.pid})" if holder and holder.pid else ""),
        where=folder.id,
        fix=f"Watch it with `tui-ft watch {folder.id}`, or end it with `tui-ft stop {folder.id}`.",
    )


def sign(handle: int, job: Job, pid: int | None) -> None:
    """Write into the lock who holds it."""
    text = json.dumps({"job": job, "pid": pid, "process": process_identity(pid) if pid else ""})
    os.ftruncate(handle, 0)
    os.pwrite(handle, text.encode(), 0)


def process_identity(pid: int) -> str:
    """What tells a process from a later one with the same pid: boot, pid namespace, start tick.

    "" when /proc does not say.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = Path("/proc/self/ns/pid").readlink()
        # Field 22 of proc(5); the name in field 2 may hold spaces and brackets.
        after_name = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
        )
        fields_after = after_name.split()
        if fields_after[0] in "ZX":
            return ""
        return f"{boot}/{space}/{fields_after[19]}"
    except (OSError, IndexError):
        return ""


def same_boot(identity: str) -> bool:
    """Whether a process with this identity ran on this machine since it was last started."""
    mine = process_identity(os.getpid()).partition("/")[0]
    return bool(mine) and identity.partition("/")[0] == mine


def process_runs(pid: int, identity: str) -> bool | None:
    """Whether exactly this process runs. None from another machine or container, which cannot tell."""
    mine = process_identity(os.getpid()).rpartition("/")[0]
    if not identity or not mine or identity.rpartition("/")[0] != mine:
        return None
    return process_identity(pid) == identity


def _held_by_another(handle: int) -> bool | None:
    """Whether somebody holds the lock; None when the file system has none."""
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    fcntl.flock(handle, fcntl.LOCK_UN)
    return False


_KINDS: Mapping[str, tuple[type, ...]] = {
    "pid": (int,),
    "process": (str,),
    "started": (int, float),
    "heartbeat": (int, float),
    "beat": (int, float),
    "step": (int,),
    "steps": (int,),
    "phase": (str,),
    "message": (str,),
    "fix": (str,),
    "best_step": (int,),
    "best_loss": (int, float),
    "done": (int,),
    "total": (int,),
    "oom_counter": (str,),
    "oom_kills": (int,),
}


def _from_document(document: Any, job: Job) -> Status | None:
    if not isinstance(document, dict) or document.get("state") not in get_args(State):
        return None
    values = {
        field.name: document[field.name]
        for field in fields(Status)
        if field.name in _KINDS and isinstance(document.get(field.name), _KINDS[field.name])
    }
    return Status(document["state"], job, **values)
