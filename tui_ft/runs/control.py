"""Requests to a worker: one small file each, acknowledged by the worker as an event."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from tui_ft.errors import InputError
from tui_ft.files import write_atomically
from tui_ft.runs import changes, checkpoints, countdown
from tui_ft.runs.changes import Change
from tui_ft.runs.folder import Job, RunFolder
from tui_ft.runs.status import Holder, reality

RequestName = Literal["stop", "stop-at-epoch", "pause", "save", "evaluate", "set"]

_JOB_OF: dict[RequestName, frozenset[Job]] = {
    "stop": frozenset(("train", "evaluate", "export")),
    "stop-at-epoch": frozenset(("train",)),
    "pause": frozenset(("train",)),
    "save": frozenset(("train",)),
    "evaluate": frozenset(("train",)),
    "set": frozenset(("train",)),
}
_VERBS: dict[RequestName, str] = {"stop-at-epoch": "stop"}
_MOST_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Request:
    """Something a viewer asked for. `id` is named again in the acknowledging event.

    `values` are the new settings of `set`, by recipe key; whoever takes the request checks them.
    """

    id: str
    name: RequestName
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Taken:
    """What a worker found in control/: requests, oldest first, and the names of files it set aside."""

    requests: tuple[Request, ...] = ()
    rejected: tuple[str, ...] = ()


def request(folder: RunFolder, name: RequestName, values: Mapping[str, Any] | None = None) -> Request:
    """Ask the worker of this run for something. The worker acknowledges with a `control` event.

    `stop` also calls off the countdown that ends the box after a run. Raises InputError when nothing is
    at work in the run, or the job at work cannot do that.
    """
    holder = Holder.read(folder)
    if holder is None and name == "stop" and countdown.read(folder) is not None:
        return _put(folder, name, {})
    if holder is None:
        state = reality(folder).state
        fix = (
            f"`tui-ft resume {folder.id}` goes on with it." if state in ("paused", "stopped", "lost") else ""
        )
        raise InputError(
            f"this run is {state}: there is nothing to {_VERBS.get(name, name)}", where=folder.id, fix=fix
        )
    if holder.job not in _JOB_OF[name]:
        raise InputError(
            f"the run is not training now, so there is nothing to {_VERBS.get(name, name)}",
            where=folder.id,
            fix=f"`tui-ft stop {folder.id}` ends what it does.",
        )
    return _put(folder, name, values or {})


def change(folder: RunFolder, values: Mapping[str, Any]) -> Request | None:
    """Change settings of a training: ask its worker, or note them for when a stopped run goes on.

    Returns the request, None when the change was noted. Raises InputError for keys that cannot change,
    values out of bounds, and runs that cannot go on.
    """
    wanted = changes.checked(folder.read_recipe(), values)
    found = reality(folder)
    saved = checkpoints.listed(folder)
    if Holder.read(folder) is None and found.state in ("paused", "stopped", "failed", "lost") and saved:
        changes.append(folder, Change(saved[-1].step, wanted))
        return None
    return request(folder, "set", wanted)


def _put(folder: RunFolder, name: RequestName, values: Mapping[str, Any]) -> Request:
    request_id = f"{time.time_ns():020d}-{secrets.token_hex(2)}"
    document = {"request": name, **({"values": dict(values)} if values else {})}
    write_atomically(folder.control / f"{request_id}.json", json.dumps(document) + "\n", durable=False)
    return Request(request_id, name, values)


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
        found = _parse(path)
        try:
            if found is None:
                _set_aside(path)
                rejected.append(path.name)
            else:
                path.unlink()
                requests.append(found)
        except OSError:
            # Nothing in this folder may stop a training; what cannot be removed is not obeyed either.
            continue
    return Taken(tuple(requests), tuple(rejected))


def clear(folder: RunFolder) -> None:
    """Forget requests meant for an earlier process."""
    take(folder)


def _parse(path: Path) -> Request | None:
    try:
        if path.is_symlink() or not path.is_file():
            return None
        with path.open("rb") as file:
            document = json.loads(file.read(_MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or document.get("request") not in get_args(RequestName):
        return None
    values = document.get("values", {})
    return Request(path.stem, document["request"], values) if isinstance(values, dict) else None


def _set_aside(path: Path) -> None:
    aside = path.parent / "rejected"
    aside.mkdir(exist_ok=True)
    path.replace(aside / f"{time.time_ns()}-{path.name}"[:200])
