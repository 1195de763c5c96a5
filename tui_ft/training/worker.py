"""The training process: `python -m tui_ft.training.worker RUN_DIR [--resume]`.

Starts light, so that watchers hear from it at once; torch comes when the run's lock is held.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO, cast

from tui_ft.errors import DiskFull, ExitCode, TuiFtError
from tui_ft.redact import Redacting
from tui_ft.runs import checkpoints, copier, finish, room, status, tracking
from tui_ft.runs.diagnosis import explain, is_disk_full, is_out_of_memory
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.launch import LOCK_VARIABLE
from tui_ft.runs.reporter import Reporter
from tui_ft.training import restart
from tui_ft.training.gauges import Pulse
from tui_ft.training.several import supervise
from tui_ft.training.signals import Stops


def main(argv: Sequence[str]) -> int:
    """Train the run in this process; returns the exit code. Nothing is raised."""
    parser = argparse.ArgumentParser(prog="python -m tui_ft.training.worker")
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="go on from the newest whole checkpoint")
    parser.add_argument(
        "--restarted", action="store_true", help="this process has replaced an earlier worker"
    )
    args = parser.parse_args(argv)
    folder = RunFolder(args.run.absolute())
    stops = Stops()
    stops.install()
    _keep_secrets()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when huggingface_hub is imported
    inherited = os.environ.pop(LOCK_VARIABLE, None)
    try:
        with status.hold(folder, "train", inherited=int(inherited) if inherited else None) as lock:
            with Reporter(folder, "train", pulse=Pulse()) as reporter:
                if not args.restarted:  # who waits for the end of this process still does
                    _watch_over(folder, reporter)
                    _begin_tracking(folder, reporter)
                _begin_copies(folder, reporter)
                room.set_ballast(folder)
                if not _several(folder):
                    return _run(folder, reporter, stops, lock, resume=args.resume)
            return supervise(folder, stops, ["--resume"] if args.resume else [])
    except TuiFtError as error:
        print(f"tui-ft: {error}", file=sys.stderr)
        return int(error.exit_code)


def _several(folder: RunFolder) -> bool:
    """Whether the plan wants several processes; a plan that cannot be read is complained about later."""
    try:
        return folder.read_plan().train.gpus > 1
    except TuiFtError:
        return False


def _keep_secrets() -> None:
    """Nothing that Python prints from here on, tracebacks included, shows a token."""
    sys.stdout = cast(TextIO, Redacting(sys.stdout))
    sys.stderr = cast(TextIO, Redacting(sys.stderr))


def _begin_tracking(folder: RunFolder, reporter: Reporter) -> None:
    """Start what sends the numbers to trackers; the training goes on without it all the same."""
    try:
        tracking.start(folder)
    except (TuiFtError, OSError) as error:
        what = "No tracker gets the numbers of this run"
        reporter.alert("tracker-failed", "warning", what, f"It could not be set up: {error}")


def _watch_over(folder: RunFolder, reporter: Reporter) -> None:
    """Start what follows the end of this process; the training goes on without it all the same."""
    try:
        finish.watch_over(folder)
    except (TuiFtError, OSError) as error:
        reporter.alert(
            "no-finish",
            "warning",
            "Nothing will follow the end of this run",
            f"It could not be set up: {error}",
        )


def _begin_copies(folder: RunFolder, reporter: Reporter) -> None:
    """Start what copies this run off the box; the training goes on without it all the same."""
    try:
        copier.begin(folder)
    except (TuiFtError, OSError) as error:
        reporter.alert(
            "no-copies", "error", "This run is not copied off the box", f"The copier did not start: {error}"
        )


def _run(folder: RunFolder, reporter: Reporter, stops: Stops, lock: int, *, resume: bool) -> int:
    try:
        from tui_ft.training.job import train

        ending = train(folder, reporter, stops, resume=resume)
    # Whatever a library throws has to reach the watchers as a sentence; the log has the rest.
    except Exception as error:
        traceback.print_exc()
        return _after_error(folder, reporter, stops, error, lock)
    reporter.end(ending.state, ending.why, ending.fix)
    return int(ExitCode.DONE)


def _after_error(folder: RunFolder, reporter: Reporter, stops: Stops, error: Exception, lock: int) -> int:
    """Go on in smaller pieces, pause, or end: the exit code, unless a fresh process takes over."""
    if is_disk_full(error):
        room.drop_ballast(folder)
        if checkpoints.listed(folder):
            return _pause(folder, reporter, explain(error))
        again = f"Free some space on the disk of {folder.path}, then `tui-ft train {folder.recipe}`."
        error = DiskFull(f"{explain(error).what}, and nothing was saved yet", fix=again)
    if is_out_of_memory(error) and not isinstance(error, TuiFtError) and not stops.received:
        try:
            amendment = restart.in_smaller_pieces(folder, reporter, error)
            reporter.enter("starting", "starting again in smaller pieces")
            restart.become(folder, lock, ["--restarted", *(["--resume"] if amendment.step else [])])
        except (TuiFtError, OSError) as failed:
            error = failed
    known = explain(error)
    reporter.end("failed", known.what, known.fix)
    return int(known.exit_code)


def _pause(folder: RunFolder, reporter: Reporter, full: TuiFtError) -> int:
    step = checkpoints.listed(folder)[-1].step
    message = f"paused because {full.what}; step {step:,} is saved"
    fix = f"Free some space on the disk of {folder.path}, then go on with `tui-ft resume {folder.id}`."
    reporter.alert("disk-full", "error", f"{message[:1].upper()}{message[1:]}", fix)
    reporter.end("paused", message, fix)
    return int(ExitCode.DONE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
