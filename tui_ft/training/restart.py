"""When memory runs out in a training: a fresh process goes on from the last checkpoint, in smaller pieces.

The process replaces itself, so its id and the run's lock stay, no watcher sees a gap, and it does not
matter which terminal or queue has started it. The driver gives the GPU's memory back with the old image.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from tui_ft.errors import EnvironmentProblem
from tui_ft.planning.ladder import Rung, command, step_down
from tui_ft.planning.memory import estimate
from tui_ft.planning.plan import Plan
from tui_ft.runs import amendments, checkpoints
from tui_ft.runs.amendments import MOST_HALVINGS, Amendment
from tui_ft.runs.diagnosis import explain
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.launch import LOCK_VARIABLE
from tui_ft.runs.reporter import Reporter
from tui_ft.text import count

_DOING = {"evaluating": " while evaluating", "saving": " while saving", "starting": " before the first step"}
_SHORT_BY = 1.05  # what is needed is at least this much more than there was


def in_smaller_pieces(folder: RunFolder, reporter: Reporter, error: BaseException) -> Amendment:
    """Journal half the rows at once, and tell it. Effective batch and schedule stay what they are.

    Raises EnvironmentProblem with the way out when the recipe says stop, when one row at once is too much,
    and after the third time.
    """
    from tui_ft.training.arguments import batches

    made = amendments.read(folder)
    recipe, plan = amendments.amended(folder.read_recipe(), folder.read_plan(), made)
    known, status = explain(error), reporter.status
    what = f"{known.what}{_DOING.get(status.state, ' while training')}"
    smaller = amendments.halved(*batches(plan))
    times = amendments.halvings(made)
    if recipe.train.on_oom == "stop" or smaller is None or times >= MOST_HALVINGS:
        again = f"; it has been tried in smaller pieces {count(times, 'time')}" if times else ""
        raise EnvironmentProblem(f"{what}{again}", fix=_offer(folder, plan) or known.fix) from error
    saved = checkpoints.listed(folder)
    step = saved[-1].step if saved else 0
    amendment = Amendment(step, "memory", smaller)
    amendments.append(folder, amendment)
    rows, accum = smaller[amendments.MICRO_BATCH], smaller[amendments.GRAD_ACCUM]
    text = (
        f"{what[:1].upper()}{what[1:]} at step {status.step:,}; the run goes on from "
        f"{f'step {step:,}' if step else 'the start'} with {count(rows, 'row')} at once, "
        f"{count(accum, 'time')} before each update"
    )
    reporter.event("restart", step=step, values=dict(smaller), text=text)
    left = MOST_HALVINGS - times - 1
    reporter.alert(
        "out-of-memory",
        "warning",
        f"{text}. It learns the same, a little slower.",
        f"Nothing needs to be done; it would be tried {count(left, 'more time')}.",
        step=status.step,
    )
    return amendment


def become(folder: RunFolder, lock: int, arguments: Sequence[str]) -> NoReturn:
    """Replace this process by a fresh worker that holds the same lock. Raises OSError when that fails."""
    sys.stdout.flush()
    sys.stderr.flush()
    _keep_only(lock)
    os.execve(
        sys.executable,
        [sys.executable, "-P", "-m", "tui_ft.training.worker", str(folder.path), *arguments],
        {**os.environ, LOCK_VARIABLE: str(lock)},
    )


def _keep_only(lock: int) -> None:
    """Let every other open file go with the old image, those of drivers included."""
    opened = [int(path.name) for path in Path("/proc/self/fd").iterdir()]
    for descriptor in opened:
        if descriptor > 2:
            with contextlib.suppress(OSError):  # the one the listing itself was read from is closed again
                os.set_inheritable(descriptor, descriptor == lock)


def _offer(folder: RunFolder, plan: Plan) -> str:
    """The next plan down the ladder as words and a command; "" when nothing smaller is known."""
    from tui_ft.models.folder import read_local

    facts = read_local(plan.model_id, Path(plan.model_folder))
    if facts.dims is None or facts.parameters is None:
        return ""
    dims, size = facts.dims, facts.parameters

    def predicted(rung: Rung) -> int:
        found = estimate(dims, size, rung.method, rung.train, device=plan.device, model_type=facts.model_type)
        return found.peak_bytes

    there = plan.memory_available_bytes
    if there is None:
        return ""
    correction = max(1.0, _SHORT_BY * there / max(1, predicted(Rung(plan.method, plan.train))))
    rung = step_down(
        plan.method, plan.train, plan.device, lambda rung: round(predicted(rung) * correction), there
    )
    return f"{rung.words()}: {command(str(folder.recipe), rung.changes)}" if rung else ""
