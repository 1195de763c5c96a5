"""Starting a worker that outlives the terminal it was started from."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence

from tui_ft.errors import EnvironmentProblem, InputError, TuiFtError
from tui_ft.files import disk_problem
from tui_ft.planning.plan import Plan
from tui_ft.runs import amendments, checkpoints, control, status, terms
from tui_ft.runs.amendments import amended
from tui_ft.runs.folder import Job, RunFolder
from tui_ft.runs.resuming import Asked, asked
from tui_ft.runs.status import Status

LOCK_VARIABLE = "TUI_FT_RUN_LOCK"  # the descriptor on which the starter already holds the run's lock

WORKERS: Mapping[Job, str] = {
    "train": "tui_ft.training.worker",
    "evaluate": "tui_ft.evaluation.worker",
    "export": "tui_ft.export.worker",
}


def start(
    folder: RunFolder, job: Job, args: Sequence[str] = (), *, gpu: str = "", wanted: Asked | None = None
) -> int:
    """Start a job of this run in the background and return its process id.

    The worker gets its own session, no terminal, and worker.log for everything it prints. `args` go to
    the worker as they are; training takes `--resume`. `gpu` is the UUID of the one GPU to use; without
    it the free one that the plan names is taken. `wanted` is what is to be otherwise from here on.

    Raises InputError when a process already works in the run or there is nothing to (re)start, and
    EnvironmentProblem when the machine refuses.
    """
    plan = folder.read_plan()
    if job == "train":
        _check_start(folder, resume="--resume" in args, longer=bool(wanted and wanted.longer))
    handle = status.take_lock(folder, job)
    try:
        if wanted is not None:
            wanted.journal(folder)
        control.clear(folder)
        before = status.read(folder, job)
        now = time.time()
        status.write(folder, Status("starting", job, started=now, heartbeat=now, phase="starting"))
        try:
            process = _spawn(folder, job, args, _environment(plan, gpu, handle), handle)
        except OSError as error:
            _restore(folder, before, job)
            raise EnvironmentProblem(
                f"the worker cannot be started: {error.strerror or error}", where=sys.executable
            ) from error
        except TuiFtError:
            _restore(folder, before, job)
            raise
        status.sign(handle, job, process.pid)
    finally:
        # The worker has the lock through its copy of the descriptor; without a worker it is free again.
        os.close(handle)
    threading.Thread(target=process.wait, name=f"reap-{process.pid}", daemon=True).start()
    return process.pid


def resume(folder: RunFolder, *, gpu: str = "", settings: Sequence[str] = ()) -> int:
    """Go on with a stopped, paused, failed or lost run from its newest whole checkpoint.

    `settings` are `KEY=VALUE` texts of what may be otherwise from there on; a longer run may be finished.
    A run that waits in a queue, or whose queue is gone, is started now.
    """
    found = status.read(folder)
    waits = found is not None and found.state == "queued" and not checkpoints.listed(folder)
    wanted = asked(folder, settings) if settings else None
    return start(folder, "train", [] if waits else ["--resume"], gpu=gpu, wanted=wanted)


def _check_start(folder: RunFolder, *, resume: bool, longer: bool = False) -> None:
    """Refuse a start that would overwrite work, or a resume that has nothing to go on from."""
    if status.alive(folder):
        return  # taking the lock says who is at work
    state = status.reality(folder).state
    if state == "finished" and not longer:
        raise InputError(
            "this run is finished",
            where=folder.id,
            fix=f"Train it longer with `tui-ft resume {folder.id} --set {_length(folder)}`, "
            f"or start a new one with `tui-ft train {folder.recipe}`.",
        )
    saved = checkpoints.listed(folder)
    if saved and not resume:
        raise InputError(
            f"this run has a checkpoint at step {saved[-1].step}; starting again would lose it",
            where=folder.id,
            fix=f"Go on from there with `tui-ft resume {folder.id}`.",
        )
    if resume and not saved:
        raise InputError(
            f"this run is {state} and has saved nothing yet, so there is nothing to resume",
            where=folder.id,
            fix=f"Start again with `tui-ft train {folder.recipe}`.",
        )
    if resume:
        terms.check(folder)


def _length(folder: RunFolder) -> str:
    """A setting that would make the run longer, as an example."""
    recipe, plan = amended(folder.read_recipe(), folder.read_plan(), amendments.read(folder))
    if recipe.train.max_steps:
        return f"{amendments.MAX_STEPS}={2 * recipe.train.max_steps}"
    return f"{amendments.EPOCHS}={plan.train.epochs + 1:g}"


def _spawn(
    folder: RunFolder, job: Job, args: Sequence[str], environment: Mapping[str, str], lock: int
) -> subprocess.Popen[bytes]:
    try:
        log = folder.log.open("ab")
    except OSError as error:
        raise disk_problem(error, folder.log) from error
    with log:
        # -P: a file called torch.py in the current folder must not be taken for torch.
        return subprocess.Popen(
            [sys.executable, "-P", "-m", WORKERS[job], str(folder.path), *args],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder.path,
            env=dict(environment),
            start_new_session=True,
            pass_fds=(lock,),
        )


def _environment(plan: Plan, gpu: str, lock: int) -> dict[str, str]:
    """The worker's environment: ours, plus what a training needs and the user did not set."""
    environment = {
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": str(_physical_cores()),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "PYTHONFAULTHANDLER": "1",
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        LOCK_VARIABLE: str(lock),
    }
    if plan.model_folder:
        environment["HF_HUB_OFFLINE"] = "1"
    if plan.device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    elif chosen := gpu or _free_gpus(plan):
        environment["CUDA_VISIBLE_DEVICES"] = chosen
    return environment


def _free_gpus(plan: Plan) -> str:
    """The visible GPUs of the kind the plan was made for that have most free memory, as many as it wants.

    No more than that: trl refuses to train when a single process sees several. "" when NVML shows none;
    then torch says what it finds.
    """
    from tui_ft.hardware.nvml import sample

    visible = [found for found in sample() if found.visible]
    planned = [found for found in visible if found.name == plan.device_name] or visible
    planned.sort(key=lambda found: found.free_bytes or 0, reverse=True)
    return ",".join(found.id for found in planned[: plan.train.gpus])


def _physical_cores() -> int:
    import psutil

    allowed = len(os.sched_getaffinity(0))
    return max(1, min(psutil.cpu_count(logical=False) or allowed, allowed))


def _restore(folder: RunFolder, before: Status | None, job: Job) -> None:
    """Put the status back after a start that did not happen."""
    if before is None:
        folder.status(job).unlink(missing_ok=True)
    else:
        status.write(folder, before)
