"""`tui-ft reproduce RUN`: train it once more and compare."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict

from tui_ft.commands.follow import ended_well
from tui_ft.commands.output import emit, lines, note
from tui_ft.errors import EnvironmentProblem, ExitCode, InputError, TuiFtError
from tui_ft.hardware.detect import detect
from tui_ft.planning.box import of_hardware
from tui_ft.runs import control, launch, status, terms
from tui_ft.runs.events import EventReader
from tui_ft.runs.folder import RunFolder, find
from tui_ft.training import reproduce

_POLL_S = 0.2


def run(args: argparse.Namespace) -> ExitCode:
    """Say what is not as it was, train, compare. The answer is no when the curves differ."""
    original = find(args.home, args.run)
    if status.alive(original):
        raise InputError("this run is still going on", where=original.id, fix="Wait for its end.")
    if args.steps < 0:
        raise InputError("must be 0 or more", where="--steps")
    box = of_hardware(detect(args.home))
    if original.read_plan().device == "cuda" and box.device == "cpu":
        raise EnvironmentProblem("this run was trained on a GPU, and this box has none", where=original.id)
    found = reproduce.ingredients(original, box.name)
    if found and not args.json:
        lines([f"Not as it was when {original.id} began:", *terms.table(found)])
    differences = [asdict(one) for one in found]
    if found and not args.anyway:
        if args.json:
            emit({"original": original.id, "run": None, "verdict": None, "differences": differences})
        note("The curves would tell little. `--anyway` trains all the same.")
        return ExitCode.ANSWER_IS_NO
    fresh = reproduce.again(args.home, original)
    launch.start(fresh, "train")
    note(f"{fresh.id} trains; `tui-ft watch {fresh.id}` follows it.")
    _wait(fresh, args.steps)
    if not args.steps:
        ended_well(fresh, "train")
    now = reproduce.curves(fresh)
    if not now.train:
        ended_well(fresh, "train")
    comparison = reproduce.compare(reproduce.curves(original), now, steps=args.steps)
    if args.json:
        emit({**reproduce.document(fresh, original, comparison), "differences": differences})
    else:
        lines([f"{original.id} and {fresh.id}: {comparison.words}"])
    return ExitCode.ANSWER_IS_NO if comparison.verdict == "differs" else ExitCode.DONE


def _wait(folder: RunFolder, steps: int) -> None:
    """Until the new run has ended, or has done enough steps and was stopped."""
    reader, stopped = EventReader(folder.events), False
    while True:
        alive = status.alive(folder)
        for event in reader.read():
            if steps and not stopped and event["kind"] == "step" and event["step"] >= steps:
                stopped = _stop(folder)
        if not alive:
            return
        time.sleep(_POLL_S)


def _stop(folder: RunFolder) -> bool:
    """Ask for the end; a run that has ended by itself needs none."""
    try:
        control.request(folder, "stop")
    except TuiFtError:
        return True
    return True
