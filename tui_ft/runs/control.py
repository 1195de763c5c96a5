"""Requests to a worker: one small file each, acknowledged by the worker as an event."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from tui_ft.errors import InputError
from tui_ft.files import write_atomically
from tui_ft.runs.folder import Job, RunFolder
from tui_ft.runs.status import Holder, reality

RequestName = Literal["stop", "pause", "save", "evaluate"]

_JOB_OF: dict[RequestName, frozenset[Job]] = {
    "stop": frozenset(("train", "evaluate", "export")),
    "pause": frozenset(("train",)),
    "save": frozenset(("train",)),
    "evaluate": frozenset(("train",)),
}
_MOST_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Request:
    """Something a viewer asked for. `id` is named again in the acknowledging event."""

    id: str
    name: RequestName


@dataclass(frozen=True, slots=True)
class Taken:
    """What a worker found in control/: requests, oldest first, and the names of files it set aside."""

    requests: tuple[Request, ...] = ()
    rejected: tuple[str, ...] = ()


def request(folder: RunFolder, name: RequestName) -> Request:
    """Ask the worker of this run for something. The worker acknowledges with a `control` event.

    Raises InputError when nothing is at work in the run, or the job at work cannot do that.
    """
    holder = Holder.read(folder)
    if holder is None:
        state = reality(folder).state
        fix = (
            f"`tui-ft resume {folder.id}` goes on with it." if state in ("paused", "stopped", "lost") else ""
        )
        raise InputError(f"this run is {state}: there is nothing to {name}", where=folder.id, fix=fix)
    if holder.job not in _JOB_OF[name]:
        raise InputError(
            f"the run is not training now, so there is nothing to {name}",
            where=folder.id,
            fix=f"`tui-ft stop {folder.id}` ends what it does.",
        )
    request_id = f"{time.time_ns():020d}-{secrets.token_hex(2)}"
    write_atomically(
        folder.control / f"{request_id}.json", json.dumps({"request": name}) + "\n", durable=False
    )
    return Request(request_id, name)


def take(folder: RunFolder) -> Taken:
    """Remove and return what was asked for. Files that are no request move to control/rejected/."""
    try:
        # The writer's temporary files begin with a dot; they are renamed when whole.
        paths = [path for path in folder.control.iterdir() if not path.name.startswith(".")]
    except OSError:
        return Taken()
    requests: list[Request] = []
    rejected: list[str] = []
    for path in sorted(paths, key=lambda path: path.name):
        if path.name == "rejected":
            continue
        name = _parse(path)
        try:
            if name is None:
                _set_aside(path)
                rejected.append(path.name)
            else:
                path.unlink()
                requests.append(Request(path.stem, name))
        except OSError:
            # Nothing in this folder may stop a training; what cannot be removed is not obeyed either.
            continue
    return Taken(tuple(requests), tuple(rejected))


def clear(folder: RunFolder) -> None:
    """Forget requests meant for an earlier process."""
    take(folder)


def _parse(path: Path) -> RequestName | None:
    try:
        if path.is_symlink() or not path.is_file():
            return None
        with path.open("rb") as file:
            document = json.loads(file.read(_MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    name = document.get("request") if isinstance(document, dict) else None
    return name if name in get_args(RequestName) else None


def _set_aside(path: Path) -> None:
    aside = path.parent / "rejected"
    aside.mkdir(exist_ok=True)
    path.replace(aside / f"{time.time_ns()}-{path.name}"[:200])
