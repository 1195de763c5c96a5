"""Why a process ended without a word: what the system knows about it, as far as this process may read it.

The kernel ends a process that uses up the machine's memory with the same signal as somebody's `kill -9`.
What tells them apart is the cgroup's count of such kills, and the kernel's log.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

from tui_ft.runs.folder import RunFolder
from tui_ft.runs.status import Status, same_boot
from tui_ft.text import excerpt

KMSG = Path("/dev/kmsg")

_GROUPS = Path("/sys/fs/cgroup")
_KILLS = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)
_KILLED = re.compile(r"^\d+,\d+,(\d+),[^;]*;.*[Oo]ut of memory: Kill(?:ed)? process (\d+)\b")
_CRASHED = re.compile(r"^Fatal Python error: (.{1,80})$", re.MULTILINE)
_TAIL = 16_384
_RECORDS = 20_000  # of the kernel's log, which keeps fewer


@dataclass(frozen=True, slots=True)
class Cause:
    """What ended the process, and the way out."""

    what: str
    fix: str


def counter() -> Path | None:
    """The file in which the kernel counts kills for want of memory in this process' cgroup."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            places = [_GROUPS / path.lstrip("/") / "memory.events", _GROUPS / "memory.events"]
        elif "memory" in controllers.split(","):
            root = _GROUPS / "memory"
            places = [root / path.lstrip("/") / "memory.oom_control", root / "memory.oom_control"]
        else:
            continue
        # Inside a container the path may be that of the host, and the container's own group the root.
        for place in places:
            if kills(place) is not None:
                return place
    return None


def kills(counts: Path) -> int | None:
    """Kills for want of memory so far; None when the file does not say."""
    try:
        found = _KILLS.search(counts.read_text(encoding="ascii", errors="replace"))
    except OSError:
        return None
    return int(found[1]) if found else None


def why(folder: RunFolder, status: Status) -> Cause | None:
    """What ended the process of a lost run; None when nothing shows it."""
    doing = status.phase or status.state
    again = f"`tui-ft resume {folder.id}` goes on from the last checkpoint."
    if status.process and not same_boot(status.process):
        return Cause(f"this machine was restarted, or another one was at work, while {doing}", again)
    if _memory_ran_out(status):
        return Cause(
            f"the machine ran out of memory (host RAM, not GPU) while {doing}: the system ended the process",
            "Close other programs, take a machine with more RAM, or lower train.micro_batch in a new run. "
            + again,
        )
    if crash := _crash(folder):
        return Cause(f"a library crashed while {doing}: {excerpt(crash)}", f"worker.log shows where. {again}")
    return None


def _memory_ran_out(status: Status) -> bool:
    if status.oom_counter and status.oom_kills is not None:
        now = kills(Path(status.oom_counter))
        if now is not None and now > status.oom_kills:
            return True
    return status.pid is not None and _kernel_names(status.pid, status.started)


def _kernel_names(pid: int, started: float | None) -> bool:
    """Whether the kernel's log says that it has killed this process, since it began."""
    began = time.monotonic() - (time.time() - started) - 1 if started is not None else 0.0
    try:
        handle = os.open(KMSG, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        for _ in range(_RECORDS):
            try:
                record = os.read(handle, 8192).decode("utf-8", "replace")
            except BrokenPipeError:
                continue  # records were overwritten while this one was read
            except OSError:
                return False
            if not record:
                return False
            for line in record.splitlines():
                found = _KILLED.match(line)
                if found and int(found[2]) == pid and int(found[1]) / 1e6 >= began:
                    return True
        return False
    finally:
        os.close(handle)


def _crash(folder: RunFolder) -> str:
    try:
        with folder.log.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _TAIL))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    found = _CRASHED.findall(text)
    return found[-1] if found else ""
