"""`tui-ft pause|stop|save RUN`: ask the worker, and wait for its acknowledgement."""

from __future__ import annotations

import argparse
import time

from tui_ft.commands.output import emit, lines
from tui_ft.errors import ExitCode
from tui_ft.runs import control
from tui_ft.runs.control import RequestName
from tui_ft.runs.events import EventReader
from tui_ft.runs.folder import RunFolder, find
from tui_ft.runs.status import alive

_WAIT_S = 120.0  # a long step on a slow box
_POLL_S = 0.2


_DONE: dict[RequestName, str] = {
    "pause": "It saves and ends; `tui-ft resume {run}` goes on with it.",
    "stop": "It stops after this step and keeps the best weights.",
    "save": "It saves after this step and goes on.",
}


def run(args: argparse.Namespace) -> ExitCode:
    """Send the request named like the command. Raises InputError when nothing is at work."""
    folder = find(args.home, args.run)
    events = EventReader(folder.events)
    for _ in events.read():
        pass
    request = control.request(folder, args.command)
    acknowledged = _acknowledged(events, request.id, folder)
    if args.json:
        emit({"run": folder.id, "request": request.name, "acknowledged": acknowledged})
    elif acknowledged:
        lines([_DONE[request.name].format(run=folder.id)])
    else:
        lines([f"Asked, but the worker has not answered yet. `tui-ft watch {folder.id}` shows what it does."])
    return ExitCode.DONE


def _acknowledged(events: EventReader, request_id: str, folder: RunFolder) -> bool:
    until = time.monotonic() + _WAIT_S
    while time.monotonic() < until:
        if any(event["kind"] == "control" and event.get("id") == request_id for event in events.read()):
            return True
        if not alive(folder):
            return False
        time.sleep(_POLL_S)
    return False
