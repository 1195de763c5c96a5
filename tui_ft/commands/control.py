"""`tui-ft pause|stop|save|validate|set RUN`: ask the worker, and wait for its acknowledgement."""

from __future__ import annotations

import argparse
import time

from tui_ft.commands.output import emit, lines
from tui_ft.errors import ExitCode
from tui_ft.runs import changes, control, countdown, queue
from tui_ft.runs.control import Request, RequestName
from tui_ft.runs.events import Event, EventReader
from tui_ft.runs.folder import RunFolder, find
from tui_ft.runs.status import alive

_WAIT_S = 120.0  # a long step on a slow box
_POLL_S = 0.2

_NAMES: dict[str, RequestName] = {"validate": "evaluate"}
_DONE: dict[RequestName, str] = {
    "pause": "It saves and ends; `tui-ft resume {run}` goes on with it.",
    "stop": "It stops after this step and keeps the best weights.",
    "stop-at-epoch": "It stops at the end of this epoch and keeps the best weights.",
    "save": "It saves after this step and goes on.",
    "evaluate": "It computes the validation loss after this step and goes on.",
}


def run(args: argparse.Namespace) -> ExitCode:
    """Send the request named like the command. Raises InputError when nothing is at work."""
    folder = find(args.home, args.run)
    if args.command == "set":
        return _set(args, folder)
    name: RequestName = _NAMES.get(args.command, args.command)
    if name == "stop" and queue.cancel(folder):
        return _say(args, folder, "stop", acknowledged=True, said="It is taken out of the queue.")
    if name == "stop" and args.after_epoch:
        name = "stop-at-epoch"
    events = _from_now(folder)
    answer = _answer(events, control.request(folder, name), folder)
    said = _DONE[name].format(run=folder.id)
    if answer and answer.get("box"):
        said = str(answer.get("text"))
    return _say(args, folder, name, acknowledged=answer is not None, said=said)


def _set(args: argparse.Namespace, folder: RunFolder) -> ExitCode:
    values = changes.from_texts(folder.read_recipe(), args.setting)
    events = _from_now(folder)
    request = control.change(folder, values)
    answer = _answer(events, request, folder) if request else None
    if request is None:
        said = f"Noted: {changes.words(values)} when the run goes on. `tui-ft resume {folder.id}` does that."
    else:
        said = str(answer.get("text")) if answer else ""
    noted = request is None or answer is not None
    return _say(args, folder, "set", acknowledged=noted, said=said, values=values)


def _say(
    args: argparse.Namespace, folder: RunFolder, name: str, *, acknowledged: bool, said: str, **more: object
) -> ExitCode:
    if args.json:
        emit({"run": folder.id, "request": name, "acknowledged": acknowledged, **more})
    elif acknowledged:
        lines([said])
    else:
        lines([f"Asked, but the worker has not answered yet. `tui-ft watch {folder.id}` shows what it does."])
    return ExitCode.DONE


def _from_now(folder: RunFolder) -> EventReader:
    """A reader of what is still to happen."""
    events = EventReader(folder.events)
    for _ in events.lines():
        pass
    return events


def _answer(events: EventReader, request: Request, folder: RunFolder) -> Event | None:
    """The event that acknowledges a request; None when nobody is there any more, or for two minutes."""
    until = time.monotonic() + _WAIT_S
    while time.monotonic() < until:
        there = alive(folder) or countdown.read(folder) is not None
        for event in events.read():
            if event["kind"] == "control" and event.get("id") == request.id:
                return event
        if not there:
            return None
        time.sleep(_POLL_S)
    return None
