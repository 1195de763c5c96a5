"""W&B, MLflow, TensorBoard and Trackio: one small adapter each, all with the same two methods.

The packages are not part of tui-ft; `missing` says before a run what is not installed. What they store
locally goes into the run's folder, except Trackio's, whose own viewer looks in one place.
"""

from __future__ import annotations

import importlib.util
import netrc
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from tui_ft.errors import EnvironmentProblem, InputError, Problem
from tui_ft.recipe import Recipe, Track

_NAMES = {"wandb": "W&B", "mlflow": "MLflow", "tensorboard": "TensorBoard", "trackio": "Trackio"}
_RETRY_S = 20  # of MLflow's own requests; its default keeps trying for minutes


@dataclass(frozen=True, slots=True)
class Subject:
    """What a tracker is told about a run. `config` holds recipe and plan, flat, by dotted key."""

    run: str
    folder: Path
    track: Track
    config: Mapping[str, Any]


class Tracker(Protocol):
    """Where numbers go."""

    def log(self, step: int, values: Mapping[str, float], at: float) -> None:
        """Numbers of one step, measured at `at`, seconds since the epoch. A NaN stays a NaN."""

    def finish(self, ok: bool) -> None:
        """The run has ended; wait until everything is stored or sent."""


def name_of(tracker: str) -> str:
    """As its makers write it."""
    return _NAMES[tracker]


def check(recipe: Recipe) -> None:
    """Raises EnvironmentProblem, before a run begins, when a tracker is not installed or logged in."""
    track = recipe.track
    absent = [name for name in track.to if not _installed(name)]
    problems = [
        Problem(f"{_NAMES[name]} is not installed", "track.to", f"Install it with `pip install {name}`.")
        for name in absent
    ]
    if "wandb" in track.to and track.wandb_mode == "online" and not _logged_in(url(track)):
        problems.append(
            Problem(
                "W&B does not know who you are",
                "track.to",
                'Log in with `wandb login`, set WANDB_API_KEY, or set track.wandb_mode to "offline".',
            )
        )
    if problems:
        raise EnvironmentProblem(problems)


def url(track: Track) -> str:
    """The server given in the recipe. Raises InputError when the variable it is in is not set."""
    if not track.url.startswith("env:"):
        return track.url
    name = track.url.removeprefix("env:")
    if name not in os.environ:
        raise InputError(f"the variable {name} is not set", where="track.url")
    return os.environ[name]


def open_tracker(name: str, subject: Subject) -> Tracker:
    """A tracker ready to take numbers. Raises whatever its package raises."""
    makers: dict[str, Callable[[Subject], Tracker]] = {
        "wandb": _Wandb,
        "mlflow": _Mlflow,
        "tensorboard": _TensorBoard,
        "trackio": _Trackio,
    }
    return makers[name](subject)


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _logged_in(server: str) -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL") or server or "https://api.wandb.ai").hostname or ""
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


class _TensorBoard:
    """Event files in `trackers/tensorboard`; `tensorboard --logdir` shows them."""

    def __init__(self, subject: Subject) -> None:
        from tensorboard.summary import Writer

        self._writer: Any = Writer(str(subject.folder / "tensorboard"))

    def log(self, step: int, values: Mapping[str, float], at: float) -> None:
        for key, value in values.items():
            self._writer.add_scalar(key, value, step, wall_time=at)
        self._writer.flush()

    def finish(self, ok: bool) -> None:
        self._writer.close()


class _Wandb:
    """A W&B run with the run's id, which a resumed run goes on with."""

    def __init__(self, subject: Subject) -> None:
        import wandb

        server = url(subject.track)
        self._run: Any = wandb.init(
            project=subject.track.project,
            name=subject.run,
            id=subject.run,
            resume="allow",
            tags=list(subject.track.tags),
            config=dict(subject.config),
            dir=str(subject.folder),
            mode=subject.track.wandb_mode,
            settings=wandb.Settings(
                console="off",
                silent=True,
                disable_git=True,
                disable_code=True,
                save_code=False,
                x_disable_stats=True,
                **({"base_url": server} if server else {}),
            ),
        )
        # A run that went back to a checkpoint repeats steps, which W&B's own counter would drop.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def log(self, step: int, values: Mapping[str, float], at: float) -> None:
        self._run.log({"step": step, **values})

    def finish(self, ok: bool) -> None:
        self._run.finish(exit_code=0 if ok else 1)


class _Mlflow:
    """An MLflow run; without a server in a database in `trackers/`."""

    def __init__(self, subject: Subject) -> None:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(_RETRY_S))
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient

        own = f"sqlite:///{subject.folder / 'mlflow.db'}"
        self._client: Any = MlflowClient(url(subject.track) or os.environ.get("MLFLOW_TRACKING_URI") or own)
        found = self._client.get_experiment_by_name(subject.track.project)
        experiment = found.experiment_id if found else self._client.create_experiment(subject.track.project)
        mine = self._client.search_runs([experiment], f"tags.`tui_ft.run` = '{subject.run}'")
        if mine:
            self._id = mine[0].info.run_id
            self._client.update_run(self._id, "RUNNING")
            return
        tags = {"tui_ft.run": subject.run, **dict.fromkeys(subject.track.tags, "true")}
        self._id = self._client.create_run(experiment, run_name=subject.run, tags=tags).info.run_id
        for key, value in subject.config.items():
            self._client.log_param(self._id, key, str(value)[:500])

    def log(self, step: int, values: Mapping[str, float], at: float) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(key, value, round(at * 1000), step) for key, value in values.items()]
        self._client.log_batch(self._id, metrics=metrics)

    def finish(self, ok: bool) -> None:
        self._client.set_terminated(self._id, "FINISHED" if ok else "FAILED")


class _Trackio:
    """A Trackio run, in Trackio's own store; `trackio show` shows it."""

    def __init__(self, subject: Subject) -> None:
        import trackio

        config = {**subject.config, "tags": ", ".join(subject.track.tags)}
        self._run: Any = trackio.init(
            project=subject.track.project,
            name=subject.run,
            config=config,
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )

    def log(self, step: int, values: Mapping[str, float], at: float) -> None:
        self._run.log(dict(values), step=step)

    def finish(self, ok: bool) -> None:
        self._run.finish()


def flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables by dotted key; lists become one line."""
    found: dict[str, Any] = {}
    for key, value in document.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            found[f"{prefix}{key}"] = ", ".join(map(str, value))
        else:
            found[f"{prefix}{key}"] = value
    return found
