"""A box that is about to be ended after a run: a file that says when, and that `tui-ft stop` calls off."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from tui_ft.files import write_json
from tui_ft.runs import status
from tui_ft.runs.folder import RunFolder


@dataclass(frozen=True, slots=True)
class Countdown:
    """The process that counts, and the moment (seconds since 1970) at which it ends the box."""

    at: float
    pid: int
    process: str

    def write(self, folder: RunFolder) -> None:
        """Let everybody see it. Raises EnvironmentProblem when the disk or folder refuses."""
        write_json(_path(folder), asdict(self), durable=False)


def read(folder: RunFolder) -> Countdown | None:
    """The countdown that is running; None when there is none."""
    try:
        document = json.loads(_path(folder).read_text(encoding="utf-8"))
        found = Countdown(float(document["at"]), int(document["pid"]), str(document["process"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if status.process_runs(found.pid, found.process) else None


def clear(folder: RunFolder) -> None:
    """There is none any more."""
    _path(folder).unlink(missing_ok=True)


def _path(folder: RunFolder) -> Path:
    return folder.path / "countdown.json"
