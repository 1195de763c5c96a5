"""Everything a dashboard or `show --json` needs to know of a run, from its files alone.

A watcher re-reads only what is new. It writes nothing and waits for nobody: any number of watchers
can look at a run, and killing one changes nothing.
"""

from __future__ import annotations

import json
import time
import tomllib
from collections import deque
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from tui_ft.runs import changes, copies, countdown, ranks
from tui_ft.runs.artefacts import Artefact, artefacts
from tui_ft.runs.copies import Copied
from tui_ft.runs.curves import Curve, CurveBuilder
from tui_ft.runs.events import Event, EventReader
from tui_ft.runs.folder import Job, RunFolder, list_runs
from tui_ft.runs.idle import ENDED, still_billing
from tui_ft.runs.killed import Cause, why
from tui_ft.runs.ranks import Rank
from tui_ft.runs.readings import Alert, Best, Gauge, HostGauge, News, alert, gauges, host, number
from tui_ft.runs.status import Reality, State, Status, reality, same_boot
from tui_ft.runs.trial import Trial, trial
from tui_ft.runs.worked import Worked
from tui_ft.settings import Home
from tui_ft.text import excerpt, sanitize

CURVES = ("loss", "eval_loss", "lr", "grad_norm", "tokens_per_s", "memory_bytes")
JOBS: tuple[Job, ...] = ("train", "evaluate", "export")

_LOG_LINES = 50
_LOG_TAIL = 16_384
_NEWS = 50
_ALERTS = 100
_TIMED_STEPS = 64
# Of more unread bytes than this, one step in so many bytes is parsed: a run of a million steps opens at once.
_SAMPLE_ABOVE = 24 << 20
_SAMPLE_EVERY = 32 << 10


@dataclass(frozen=True, slots=True)
class RunView:
    """A run at one moment. Times in seconds, sizes in bytes; None is unknown."""

    run: str
    dir: str
    name: str
    state: State
    job: Job
    alive: bool
    phase: str
    message: str
    fix: str
    pid: int | None
    step: int
    steps: int | None
    done: int
    total: int | None
    loss: float | None
    eval_loss: float | None
    best: Best | None
    lr: float | None
    grad_norm: float | None
    tokens_per_s: float | None
    tokens: int | None
    memory_bytes: int | None
    gpus: tuple[Gauge, ...]
    host: HostGauge | None
    started: float | None
    elapsed_s: float | None
    eta_s: tuple[float, float] | None
    alerts: tuple[Alert, ...]
    artefacts: tuple[Artefact, ...]
    jobs: dict[Job, State]
    curves: dict[str, Curve] = field(repr=False)
    news: tuple[News, ...] = field(repr=False)
    log: tuple[str, ...] = field(repr=False)
    plan: dict[str, Any] = field(repr=False)
    garbage: int = 0
    dry_run: Trial | None = None
    price_per_hour: float | None = None  # dollars
    cost: float | None = None  # dollars so far, at that price
    changes: dict[str, Any] = field(default_factory=dict)  # settings changed in the run, by recipe key
    ahead: int | None = None  # runs before it in its queue, None when it is in none
    together: int = 1  # GPUs that train together, or processes where there is none
    ranks: tuple[Rank, ...] = ()  # those processes, when there are several
    shutdown_at: float | None = None  # the box is ended then, unless somebody calls it off
    copies: tuple[Copied, ...] = ()  # what is off this box, by target
    bell: bool = False  # the recipe asks for a bell at the end and at errors


def view(folder: RunFolder) -> RunView:
    """The run as its files say now."""
    return RunWatcher(folder).poll()


class RunWatcher:
    """Follows one run. `poll` reads what is new since the last call."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._reader = EventReader(folder.events)
        self._plan: dict[str, Any] = {}
        self._recipe: dict[str, Any] = {}
        self._changes: dict[str, Any] = {}
        self._causes: tuple[Status, Cause | None] | None = None
        self._reset()

    def _reset(self) -> None:
        self._builders = {name: CurveBuilder() for name in CURVES}
        self._alerts: deque[Alert] = deque(maxlen=_ALERTS)
        self._news: deque[News] = deque(maxlen=_NEWS)
        self._last_step: Event = {}
        self._best: Best | None = None
        self._gpus: tuple[Gauge, ...] = ()
        self._host: HostGauge | None = None
        self._step_seconds: deque[float] = deque(maxlen=_TIMED_STEPS)
        self._eval_seconds: deque[float] = deque(maxlen=8)
        self._started: float | None = None
        self._worked = Worked()
        self._trial: Trial | None = None

    def poll(self, *, now: float | None = None) -> RunView:
        """The run as its files say now."""
        moment = time.time() if now is None else now
        self._read_events()
        if not self._plan:
            self._plan = _read_json(self.folder.plan)
            self._recipe = _read_toml(self.folder.recipe)
        self._changes = changes.latest(self.folder)
        realities = {job: reality(self.folder, job, now=now) for job in JOBS}
        job: Job = next((job for job in JOBS if realities[job].alive), "train")
        current = realities[job]
        status = current.status
        curves = {name: builder.curve() for name, builder in self._builders.items()}
        step = max(status.step, self._last_step.get("step", 0)) if job == "train" else status.step
        best = self._best
        if status.best_step is not None and status.best_loss is not None:
            best = Best(status.best_step, status.best_loss)
        steps = status.steps or realities["train"].status.steps or self._plan.get("steps")
        cause = self._cause(current)
        message = sanitize(cause.what if cause else current.message)
        elapsed = self._elapsed(realities["train"], moment)
        price = number(_section(self._recipe, "limits").get("price_per_hour")) or None
        price = number(self._changes.get("limits.price_per_hour")) or price
        idle = self._box_idle(realities["train"], job, moment, price)
        queued = status if current.state == "queued" and status.process else None
        counting = countdown.read(self.folder)
        return RunView(
            run=self.folder.id,
            dir=str(self.folder.path),
            name=sanitize(str(self._plan.get("name", self.folder.id))),
            state=current.state,
            job=job,
            alive=current.alive,
            phase=sanitize(status.phase),
            message=message,
            fix=sanitize(cause.fix) if cause else self._way_out(current, job),
            pid=status.pid,
            step=step,
            steps=steps if isinstance(steps, int) else None,
            done=status.done,
            total=status.total,
            loss=self._builders["loss"].last,
            eval_loss=self._builders["eval_loss"].last,
            best=best,
            lr=self._builders["lr"].last,
            grad_norm=self._builders["grad_norm"].last,
            tokens_per_s=self._builders["tokens_per_s"].last,
            tokens=self._last_step.get("tokens"),
            memory_bytes=self._last_step.get("memory_bytes"),
            gpus=self._gpus,
            host=self._host,
            started=self._started,
            elapsed_s=elapsed,
            eta_s=self._eta(current, step, steps),
            alerts=(*self._alerts, *([idle] if idle else [])),
            artefacts=artefacts(self.folder),
            jobs={name: found.state for name, found in realities.items() if _has_begun(name, found)},
            curves=curves,
            news=tuple(self._news),
            log=_tail(self.folder.log),
            plan=self._plan,
            garbage=self._reader.garbage,
            dry_run=self._trial,
            price_per_hour=price,
            cost=price * elapsed / 3600 if price and elapsed is not None else None,
            changes=dict(self._changes),
            ahead=queued.total if queued else None,
            shutdown_at=counting.at if counting else None,
            together=_processes(self._plan),
            ranks=ranks.read(self.folder) if _processes(self._plan) > 1 else (),
            copies=copies.read(self.folder),
            bell=_section(self._recipe, "notify").get("bell") is True,
        )

    def _cause(self, current: Reality) -> Cause | None:
        """What ended a lost process, looked for once."""
        status = current.status
        if current.state != "lost" or status.state == "queued":
            return None
        if self._causes is None or self._causes[0] != status:
            self._causes = (status, why(self.folder, status))
        return self._causes[1]

    def _way_out(self, current: Reality, job: Job) -> str:
        if current.state != "lost" or job != "train":
            return sanitize(current.status.fix)
        if current.status.state == "queued":
            return f"`tui-ft resume {self.folder.id}` starts it now."
        return f"`tui-ft resume {self.folder.id}` goes on from the last checkpoint."

    def _box_idle(self, training: Reality, job: Job, now: float, price: float | None) -> Alert | None:
        """An alert that this box costs money for nothing; only for its newest run, and while it is up."""
        status = training.status
        if training.alive or job != "train" or not price or training.state not in ENDED:
            return None
        if status.heartbeat is None or not same_boot(status.process) or _newer_run(self.folder):
            return None
        return still_billing(training.state, status.heartbeat, now, price)

    def _read_events(self) -> None:
        restarts = self._reader.restarts
        long = self._reader.unread_bytes > _SAMPLE_ABOVE
        for line in chain(self._reader.sample(_SAMPLE_EVERY) if long else (), self._reader.lines()):
            if self._reader.restarts != restarts:
                restarts = self._reader.restarts
                self._reset()
            event = self._reader.parse(line)
            if event is not None:
                self._take(event)

    def _take(self, event: Event) -> None:
        moment = event.get("t")
        at = float(moment) if isinstance(moment, int | float) else 0.0
        match event["kind"]:
            case "step":
                self._take_step(event)
            case "eval":
                self._take_eval(event)
            case "start":
                self._take_start(event, at)
            case "dry_run":
                self._trial = trial(event)
            case "alert":
                self._alerts.append(alert(event, at))
            case "gauges":
                self._gpus = gauges(event)
                self._host = host(event)
        if at and event.get("job", "train") == "train":
            self._started = self._started or at
            self._worked.hear(at)
        if event["kind"] == "end" or event.get("job", "train") != "train":
            self._worked.leave()
        text = event.get("text")
        if isinstance(text, str) and text:
            # What a job found is often also how it ends; once is enough.
            line = excerpt(text, 200)
            if not self._news or self._news[-1].text != line:
                self._news.append(News(at, line))

    def _take_start(self, event: Event, at: float) -> None:
        if event.get("job", "train") != "train":
            return
        found = event.get("resumed_from")
        step = found if isinstance(found, int) else 0
        # The run goes on from its checkpoint, or begins again; what came after that is done anew.
        for builder in self._builders.values():
            builder.cut(step)
        if self._best is not None and self._best.step > step:
            self._best = None
        if self._last_step.get("step", 0) > step:
            self._last_step = {}
        self._step_seconds.clear()
        self._worked.begin(at or None)

    def _take_step(self, event: Event) -> None:
        step = event.get("step")
        if not isinstance(step, int):
            return
        for name in ("loss", "lr", "grad_norm", "tokens_per_s", "memory_bytes"):
            if name in event:
                self._builders[name].add(step, number(event[name]))
        seconds = number(event.get("seconds"))
        if seconds is not None:
            self._step_seconds.append(seconds)
        self._last_step = event

    def _take_eval(self, event: Event) -> None:
        step, loss = event.get("step"), number(event.get("eval_loss"))
        if not isinstance(step, int):
            return
        self._builders["eval_loss"].add(step, loss)
        seconds = number(event.get("seconds"))
        if seconds is not None:
            self._eval_seconds.append(seconds)
        if loss is not None and (self._best is None or loss < self._best.eval_loss):
            self._best = Best(step, loss)

    def _elapsed(self, training: Reality, now: float) -> float | None:
        """Seconds a process worked on the training; the time between a stop and a resume is left out."""
        if self._started is None:
            return None
        until = now if training.alive else training.status.heartbeat
        return self._worked.seconds + (self._worked.since(until) if until else 0.0)

    def _eta(self, current: Reality, step: int, steps: Any) -> tuple[float, float] | None:
        """Seconds left, from the middle half of recent step times, and evaluations still to come."""
        if not current.alive or current.status.job != "train" or not isinstance(steps, int):
            return None
        if len(self._step_seconds) < 3 or step >= steps:
            return None
        low, _, high = quantiles(self._step_seconds, n=4)
        every = number(self._changes.get("train.eval_every")) or 0
        every = every or number((self._plan.get("train") or {}).get("eval_every")) or 0
        evaluations = (steps // every - step // every) if every else 0
        extra = evaluations * median(self._eval_seconds) if self._eval_seconds else 0.0
        return ((steps - step) * low + extra, (steps - step) * high + extra)


def show_json(run: RunView) -> dict[str, Any]:
    """The object `tui-ft show --json` prints. Keys are public."""
    return {
        "run": run.run,
        "dir": run.dir,
        "name": run.name,
        "state": run.state,
        "job": run.job,
        "alive": run.alive,
        "phase": run.phase,
        "message": run.message,
        "fix": run.fix,
        "pid": run.pid,
        "step": run.step,
        "steps": run.steps,
        "loss": run.loss,
        "eval_loss": run.eval_loss,
        "best": None if run.best is None else {"step": run.best.step, "eval_loss": run.best.eval_loss},
        "lr": run.lr,
        "grad_norm": run.grad_norm,
        "tokens_per_s": run.tokens_per_s,
        "tokens": run.tokens,
        "memory_bytes": run.memory_bytes,
        "started": run.started,
        "elapsed_s": run.elapsed_s,
        "eta_s": None if run.eta_s is None else {"low": run.eta_s[0], "high": run.eta_s[1]},
        "alerts": [
            {
                "id": a.id,
                "severity": a.severity,
                "what": a.what,
                "action": a.action,
                "step": a.step,
                "time": a.time,
            }
            for a in run.alerts
        ],
        "artefacts": [
            {"kind": a.kind, "path": a.path, "bytes": a.bytes, "step": a.step} for a in run.artefacts
        ],
        "dry_run": None if run.dry_run is None else run.dry_run.document(str(Path(run.dir) / "recipe.toml")),
        "price_per_hour": run.price_per_hour,
        "cost": None if run.cost is None else round(run.cost, 4),
        "changes": dict(run.changes),
        "ahead": run.ahead,
        "shutdown_at": run.shutdown_at,
        "together": run.together,
        "ranks": [
            {
                "rank": rank.rank,
                "pid": rank.pid,
                "device": rank.device,
                "heartbeat": rank.time,
                "alive": rank.alive,
                "ended": rank.ended,
                "error": rank.error,
            }
            for rank in run.ranks
        ],
        "copies": [copies.document(copied) for copied in run.copies],
        "jobs": dict(run.jobs),
        "curves": {
            name: {"steps": list(curve.steps), "values": list(curve.values)}
            for name, curve in run.curves.items()
        },
    }


def _processes(plan: dict[str, Any]) -> int:
    found = _section(plan, "train").get("gpus")
    return found if isinstance(found, int) else 1


def _newer_run(folder: RunFolder) -> bool:
    """Whether another run of this home was made later, so that the box has other things to do."""
    runs = list_runs(Home(folder.path.parent.parent))
    return bool(runs) and runs[0].id != folder.id


def _section(document: dict[str, Any], name: str) -> dict[str, Any]:
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def _has_begun(job: Job, found: Reality) -> bool:
    return job == "train" or found.alive or found.status.state != "queued"


def _tail(path: Path) -> tuple[str, ...]:
    """The last lines of the log, harmless to show."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, 2)
            file.seek(max(0, end - _LOG_TAIL))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ()
    # A progress bar redraws its line after a carriage return; only its last state counts.
    lines = [sanitize(line.rstrip("\r").rpartition("\r")[2]) for line in text.split("\n")]
    return tuple(line for line in lines if line.strip())[-_LOG_LINES:]


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
