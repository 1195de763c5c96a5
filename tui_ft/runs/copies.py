"""What of a run is off this box: copied, and verified there by its hashes. Only the copier writes."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tui_ft.files import write_json
from tui_ft.runs import checkpoints
from tui_ft.runs.folder import RunFolder
from tui_ft.text import sanitize

_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Copied:
    """What one target holds, verified. Times are seconds since 1970."""

    to: str
    step: int | None = None  # the newest checkpoint there
    result_ns: int | None = None  # when the adapter or model there was made here
    verified: float | None = None  # when that was last held against its hashes
    problem: str = ""  # why the last attempt failed
    steps: tuple[int, ...] = ()  # every checkpoint there

    def words(self) -> str:
        """One line for people."""
        if self.step is None:
            said = "nothing copied yet"
        else:
            said = f"copied up to step {self.step:,}, verified"
            said += "; the result too" if self.result_ns is not None else ""
        return f"{self.to}: {said}" + (f"; {self.problem}" if self.problem else "")


def path(folder: RunFolder) -> Path:
    """Where the copier says what it has done."""
    return folder.path / "copies.json"


def read(folder: RunFolder) -> tuple[Copied, ...]:
    """What each target holds; nothing for a run that is not copied, or whose file is no such file."""
    try:
        document = json.loads(path(folder).read_text(encoding="utf-8"))
        return tuple(
            Copied(
                sanitize(str(entry["to"])),
                _whole(entry.get("step")),
                _whole(entry.get("result_ns")),
                entry["verified"] if isinstance(entry.get("verified"), int | float) else None,
                sanitize(str(entry.get("problem", ""))),
                tuple(step for step in entry.get("steps", ()) if isinstance(step, int)),
            )
            for entry in document["targets"]
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ()


def write(folder: RunFolder, copied: Sequence[Copied]) -> None:
    """Replace the file. Raises EnvironmentProblem when the disk refuses."""
    write_json(path(folder), {"targets": [asdict(one) for one in copied]})


def document(copied: Copied) -> dict[str, Any]:
    """An entry of `copies` in `show --json`. Keys are public."""
    return {
        "to": copied.to,
        "step": copied.step,
        "result": copied.result_ns is not None,
        "verified": copied.verified,
        "problem": copied.problem,
    }


def known(folder: RunFolder, targets: Sequence[str]) -> list[Copied]:
    """What is known of these targets, in their order."""
    before = {one.to: one for one in read(folder)}
    return [replace(before.get(to, Copied(to)), problem="") for to in targets]


def result(folder: RunFolder) -> Path | None:
    """The folder of what the run has made; None before its end."""
    for made in (folder.adapter, folder.model):
        if made.is_dir():
            return made
    return None


def missing(folder: RunFolder, targets: Sequence[str]) -> list[str]:
    """What is not off this box yet, one line for each of these targets that lacks something."""
    return lacking(folder, known(folder, targets))


def lacking(folder: RunFolder, copied: Sequence[Copied]) -> list[str]:
    """What is not at these places yet, one line for each."""
    saved = checkpoints.listed(folder)
    newest = saved[-1].step if saved else None
    made = result(folder)
    made_ns = made.stat().st_mtime_ns if made else None
    lines = []
    for one in copied:
        lacks = []
        if newest is not None and (one.step is None or one.step < newest):
            lacks.append(f"step {newest:,}")
        if made is not None and one.result_ns != made_ns:
            lacks.append(f"the {made.name}")
        if lacks:
            lines.append(f"{' and '.join(lacks)}: not at {one.to} yet")
    return lines


def at_work(folder: RunFolder) -> bool:
    """Whether a copier works on this run."""
    try:
        handle = os.open(lock(folder), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def lock(folder: RunFolder) -> Path:
    """Locked while a copier works."""
    return folder.path / "copy.lock"


def unsafe(folder: RunFolder) -> str:
    """Wait for the copier, then say what is not off this box; "" when all that was promised is."""
    while at_work(folder):
        time.sleep(_POLL_S)
    with suppress(OSError):
        return "; ".join(missing(folder, folder.read_recipe().copies.to))
    return "it is unknown what has been copied"


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
