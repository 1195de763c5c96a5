"""A run on several GPUs: one process per GPU under torchrun, watched over by the run's own process.

This process holds the run's lock and stays light. Rank 0 writes status, events and checkpoints; when
a rank dies or is stuck, everything is ended here and the status says which one it was.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tui_ft.errors import ExitCode
from tui_ft.planning.plan import Plan
from tui_ft.runs import ranks, status
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.ranks import Rank, Trouble
from tui_ft.runs.reporter import Reporter
from tui_ft.training.signals import Stops

SUPERVISOR = "TUI_FT_SUPERVISOR"  # pid and identity of this process, for the ranks to end with it

_POLL_S = 0.1
_GRACE_S = 3.0  # for ranks that fail for the same reason, or end just after the first
_SAVE_S = 600.0  # for the last rank to end after the first did so in peace


def supervise(folder: RunFolder, stops: Stops, args: Sequence[str]) -> int:
    """Train the run in as many processes as its plan says; returns the exit code. The lock is held."""
    plan = folder.read_plan()
    ranks.clear(folder)
    ranks.folder_of(folder).mkdir(exist_ok=True)
    before = status.read(folder)
    torchrun = _start(folder, plan, args)
    trouble = _watch(folder, torchrun, stops)
    left = ranks.read(folder)
    ranks.kill(left)
    torchrun.wait()
    if trouble is None and torchrun.returncode:
        trouble = _why(folder, left)
    if trouble is None:
        return int(ExitCode.DONE)
    _report(folder, trouble, before)
    return trouble.rank.ended or int(ExitCode.RUN_FAILED)


def _start(folder: RunFolder, plan: Plan, args: Sequence[str]) -> subprocess.Popen[bytes]:
    pid = os.getpid()
    gpus = plan.train.gpus
    environment = {
        **os.environ,
        SUPERVISOR: f"{pid} {status.process_identity(pid)}",
        "TORCHELASTIC_SIGNALS_TO_HANDLE": "SIGTERM,SIGINT",
        "PYTHONSAFEPATH": "1",
    }
    # All processes are on this machine; its own name may lead nowhere in a container.
    environment.setdefault("GLOO_SOCKET_IFNAME", "lo")
    if plan.device == "cpu":
        # The processes share the cores; threads beyond them only take turns.
        cores = int(environment.get("OMP_NUM_THREADS") or 1)
        environment["OMP_NUM_THREADS"] = str(max(1, cores // gpus))
    options = ["--standalone", "--nproc-per-node", str(gpus), "--max-restarts", "0"]
    options += ["--signals-to-handle", "SIGTERM,SIGINT", "--shutdown-timeout", "30"]
    module = ["-m", "tui_ft.training.rank", str(folder.path), *args]
    # -P: a file called torch.py in the current folder must not be taken for torch.
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "tui_ft.training.torchrun", str(_codes(folder)), *options, *module],
        stdin=subprocess.DEVNULL,
        env=environment,
    )


def _codes(folder: RunFolder) -> Path:
    return ranks.folder_of(folder) / "exit-codes.json"


def _watch(folder: RunFolder, torchrun: subprocess.Popen[bytes], stops: Stops) -> Trouble | None:
    """Wait for the end; returns what it was when a rank was dead or stuck, and then nobody runs any more."""
    forwarded = ""
    while torchrun.poll() is None:
        time.sleep(_POLL_S)
        now = ranks.read(folder)
        if stops.received and not forwarded and now and now[0].rank == 0:
            forwarded = stops.received
            ranks.kill(now[:1], signal.Signals[stops.received])
        alive = {rank.pid for rank in now if rank.alive}
        found = ranks.stuck(now, alive, time.monotonic())
        if found is not None:
            ranks.kill([found.rank], signal.SIGABRT)  # faulthandler prints its stack to the log
            time.sleep(1)
            _end(folder, torchrun)
            return found
        gone = ranks.dead(now, alive)
        if gone is not None and any(again == gone for again in ranks.read(folder)):
            _end(folder, torchrun)
            return ranks.died(gone, _code_of(folder, gone))
        if any(rank.ended for rank in now):
            _wait(torchrun, _GRACE_S)
            found = _why(folder, ranks.read(folder))
            _end(folder, torchrun)
            return found
        if any(rank.ended == 0 for rank in now):
            # Rank 0 may still copy the result while the others are done.
            _wait(torchrun, _SAVE_S)
            _end(folder, torchrun)
    return None


def _wait(torchrun: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        torchrun.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def _end(folder: RunFolder, torchrun: subprocess.Popen[bytes]) -> None:
    """Nobody is left behind. torchrun sees its processes end, notes how, and ends as well."""
    ranks.kill(ranks.read(folder))
    _wait(torchrun, _GRACE_S)
    if torchrun.poll() is None:
        torchrun.kill()
        torchrun.wait()


def _why(folder: RunFolder, seen: Sequence[Rank]) -> Trouble:
    """Why torchrun ended badly: a rank's own sentence, else a signal."""
    gone = ranks.dead(seen, {rank.pid for rank in seen if rank.alive})
    if gone is not None:
        return ranks.died(gone, _code_of(folder, gone))
    found = ranks.failed(seen)
    if found is not None:
        return found
    nobody = Rank(0, 0, "", 0.0)
    return Trouble(nobody, "the processes could not be started", f"The log is {folder.log}.")


def _code_of(folder: RunFolder, rank: Rank) -> int | None:
    """How a rank ended: its exit code, negative for a signal; None when torchrun did not see it."""
    try:
        codes = json.loads(_codes(folder).read_text(encoding="utf-8"))
        return int(codes[str(rank.rank)])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _report(folder: RunFolder, trouble: Trouble, before: status.Status | None) -> None:
    """Say how the run ended, in place of the rank that cannot."""
    known = status.read(folder) or before
    with Reporter(folder, "train") as reporter:
        if known is not None:
            reporter.update(
                **{
                    name: getattr(known, name)
                    for name in ("started", "step", "steps", "best_step", "best_loss")
                }
            )
        if trouble.rank.ended is None and trouble.rank.pid:
            reporter.alert("rank-lost", "error", trouble.what, trouble.fix)
        reporter.end("failed", trouble.what, trouble.fix)
