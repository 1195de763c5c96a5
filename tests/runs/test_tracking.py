"""Trackers get what events.jsonl holds, each read back through its own package where that is installed."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import struct
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.sample_plan import make_plan
from tui_ft import recipe as recipes
from tui_ft.errors import EnvironmentProblem
from tui_ft.runs import folder as folders
from tui_ft.runs import trackers, tracking
from tui_ft.runs.events import EventLog, EventReader
from tui_ft.runs.folder import RunFolder
from tui_ft.settings import Home

NOBODY = ("999999999", "no/such/process")  # a worker that has ended

Series = Mapping[str, Mapping[int, float]]


def a_run(root: Path, *trackers_: str) -> RunFolder:
    text = (
        f'name = "tracked"\n[model]\nid = "m"\n[data]\npath = "rows.jsonl"\n[notify]\n'
        f'ntfy = "https://ntfy.sh/private"\n[track]\nto = {json.dumps(trackers_)}\nproject = "demo"\n'
        f'tags = ["first"]\nwandb_mode = "offline"\n'
    )
    recipe = recipes.loads(text)
    return folders.create(Home(root / "home"), recipe, make_plan(), recipe_text=text, recipe_base=root)


def some_events(run: RunFolder, first: int, last: int) -> None:
    with EventLog(run.events) as events:
        for step in range(first, last + 1):
            events.append("step", step=step, loss=5 / step + 0.123456789, lr=1e-3 / step, tokens_per_s=None)
            if step % 3 == 0:
                events.append("eval", step=step, eval_loss=4 / step, best=step == 3)
        events.append("phase", state="training", phase="training")


def feed(run: RunFolder, name: str, root: Path) -> None:
    """Let the process run that the worker starts, after the worker's end."""
    done = subprocess.run(
        [sys.executable, "-m", "tui_ft.runs.tracking", str(run.path), name, *NOBODY],
        env={**os.environ, "TRACKIO_DIR": str(root / "trackio"), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def of_events(run: RunFolder) -> Series:
    found: dict[str, dict[int, float]] = defaultdict(dict)
    for event in EventReader(run.events).read():
        for key, value in tracking.numbers(event).items():
            found[key][event["step"]] = value
    return found


def of_tensorboard(run: RunFolder, root: Path) -> Series:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    from tensorboard.util.tensor_util import make_ndarray

    read = accumulator.EventAccumulator(str(run.path / "trackers" / "tensorboard"))
    read.Reload()
    return {
        tag: {event.step: float(make_ndarray(event.tensor_proto)) for event in read.Tensors(tag)}
        for tag in read.Tags()["tensors"]
    }


def of_wandb(run: RunFolder, root: Path) -> Series:
    from wandb.proto import wandb_internal_pb2

    found: dict[str, dict[int, float]] = defaultdict(dict)
    for path in sorted((run.path / "trackers" / "wandb").glob("offline-run-*/*.wandb")):
        for data in wandb_records(path.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            row = {
                (item.key or item.nested_key[0]): json.loads(item.value_json) for item in record.history.item
            }
            for key, value in row.items():
                if "/" in key:
                    found[key][row["step"]] = float(value)
    return found


def wandb_records(stored: bytes) -> Iterator[bytes]:
    """The records of a .wandb file: LevelDB's log format behind seven bytes."""
    at, parts = 7, b""
    while at < len(stored):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack_from("<IHB", stored, at)
        parts += stored[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield parts
            parts = b""


def of_mlflow(run: RunFolder, root: Path) -> Series:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{run.path / 'trackers' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("demo")
    assert experiment is not None
    (mine,) = client.search_runs([experiment.experiment_id])
    assert mine.info.run_name == run.id
    assert mine.data.params["method.name"] == "lora"
    return {
        key: {metric.step: metric.value for metric in client.get_metric_history(mine.info.run_id, key)}
        for key in mine.data.metrics
    }


def of_trackio(run: RunFolder, root: Path) -> Series:
    found: dict[str, dict[int, float]] = defaultdict(dict)
    with sqlite3.connect(root / "trackio" / "demo.db") as store:
        for name, step, metrics in store.execute("SELECT run_name, step, metrics FROM metrics"):
            assert name == run.id
            for key, value in json.loads(metrics).items():
                found[key][step] = float(value)
    return found


READERS = {
    "tensorboard": of_tensorboard,
    "wandb": of_wandb,
    "mlflow": of_mlflow,
    "trackio": of_trackio,
}


@pytest.mark.filterwarnings("ignore")  # those are the trackers' own, about packages below them
@pytest.mark.parametrize("name", READERS)
def test_a_tracker_has_the_numbers_of_the_events_also_after_a_second_start(name: str, tmp_path: Path) -> None:
    pytest.importorskip(name)
    run = a_run(tmp_path, name)
    trackers.check(run.read_recipe())
    some_events(run, 1, 6)
    feed(run, name, tmp_path)
    some_events(run, 7, 9)
    feed(run, name, tmp_path)
    expected, stored = of_events(run), READERS[name](run, tmp_path)
    assert expected.keys() == {"train/loss", "train/lr", "eval/eval_loss"}
    assert expected["train/loss"].keys() == set(range(1, 10))
    assert stored.keys() >= expected.keys()
    exact = name != "tensorboard"  # which keeps 32 bits
    for key, series in expected.items():
        assert stored[key] == pytest.approx(series, rel=1e-15 if exact else 1e-6)
    assert not [event for event in EventReader(run.events).read() if event["kind"] == "alert"]


def test_a_tracker_that_breaks_is_an_alert_and_nothing_else(tmp_path: Path) -> None:
    run = a_run(tmp_path, "tensorboard")
    some_events(run, 1, 3)
    (run.path / "trackers").mkdir()
    (run.path / "trackers" / "tensorboard").write_text("in the way of the folder")
    feed(run, "tensorboard", tmp_path)
    (told,) = [event for event in EventReader(run.events).read() if event["kind"] == "alert"]
    assert told["id"] == "tracker-failed"
    assert told["what"].startswith("TensorBoard gets no numbers: ")
    assert told["severity"] == "warning"


def test_what_is_missing_is_said_before_a_run_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for variable in ("WANDB_API_KEY", "NETRC"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    text = '[model]\nid = "m"\n[data]\npath = "x"\n[track]\nto = ["wandb", "mlflow"]\n'
    with pytest.raises(EnvironmentProblem) as caught:
        trackers.check(recipes.loads(text))
    said = str(caught.value)
    assert "W&B is not installed" in said
    assert "`pip install mlflow`" in said
    assert 'set track.wandb_mode to "offline"' in said


def test_a_tracker_is_told_nothing_private(tmp_path: Path) -> None:
    told = tracking.subject(a_run(tmp_path, "tensorboard"))
    assert told.config["train.learning_rate"] == make_plan().train.learning_rate
    assert not any("ntfy" in f"{key} {value}" for key, value in told.config.items())


def test_numbers_that_are_none_stay_so() -> None:
    event = {"kind": "eval", "t": 1.0, "step": 4, "eval_loss": None, "nonfinite": {"eval_loss": "nan"}}
    assert math.isnan(tracking.numbers(event)["eval/eval_loss"])
    assert tracking.numbers({"kind": "phase", "t": 1.0, "step": 4}) == {}
    assert tracking.numbers({"kind": "step", "t": 1.0, "step": 1, "loss": None, "best": True}) == {}
