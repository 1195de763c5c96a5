"""The evaluation process on real, tiny models."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tiny_model import make
from tests.tuned_run import make_run, run_module, tiny_plan, write_adapter, write_rows
from tui_ft.data.rows import Row
from tui_ft.evaluation import report
from tui_ft.runs import control, launch, status
from tui_ft.runs.events import EventReader
from tui_ft.runs.folder import RunFolder

WORKER = "tui_ft.evaluation.worker"

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("model"))


@pytest.fixture
def run(tmp_path: Path, model: Path) -> RunFolder:
    folder = make_run(tmp_path, model)
    write_adapter(folder.adapter, model)
    return folder


def test_an_evaluation(run: RunFolder) -> None:
    done = run_module(WORKER, str(run.path))
    assert done.returncode == 0, done.stderr
    found = report.load(run.evaluation)
    assert found is not None
    assert found.rows == 9
    assert found.task == "json"
    assert found.base["loss"] != found.tuned["loss"]
    assert found.setting.split == "test"
    assert found.setting.max_new_tokens > 16
    rows = [json.loads(line) for line in (run.evaluation / report.ANSWERS).read_text().splitlines()]
    assert {row["base"]["text"] for row in rows} != {row["tuned"]["text"] for row in rows}
    assert status.reality(run, "evaluate").state == "finished"
    kinds = [event["kind"] for event in EventReader(run.events).read()]
    assert kinds[0] == "start"
    assert kinds[-1] == "end"
    assert "progress" in kinds


def test_validation_rows_stand_in_for_missing_test_rows(tmp_path: Path, model: Path) -> None:
    settings = '[evaluate]\nmetrics = ["exact_match"]\nmax_rows = 4\nmax_new_tokens = 5\nsamples = 1\n'
    folder = make_run(tmp_path, model, settings=settings)
    write_adapter(folder.adapter, model)
    (folder.data / "test.parquet").rename(folder.data / "validation.parquet")
    assert run_module(WORKER, str(folder.path)).returncode == 0
    found = report.load(folder.evaluation)
    assert found is not None
    assert (found.setting.split, found.rows, found.setting.rows_available) == ("validation", 4, 9)
    assert found.setting.max_new_tokens == 5
    assert list(found.difference) == ["exact_match"]
    assert len(found.samples) == 1
    assert "rosy" in found.setting.notes[0]
    assert "4 of 9 rows" in found.setting.notes[1]


def test_after_full_training_two_models_are_compared(tmp_path: Path, model: Path) -> None:
    plan = tiny_plan(model)
    folder = make_run(tmp_path, model, method=replace(plan.method, name="full", rank=0))
    make(folder.model, seed=7)
    done = run_module(WORKER, str(folder.path))
    assert done.returncode == 0, done.stderr
    found = report.load(folder.evaluation)
    assert found is not None
    assert found.base["loss"] != pytest.approx(found.tuned["loss"])


def test_plain_text_is_compared_by_loss_alone(tmp_path: Path, model: Path) -> None:
    folder = make_run(tmp_path, model)
    write_adapter(folder.adapter, model)
    write_rows(
        folder.data / "test.parquet", model, [Row(f"t{i}", "a.txt", i, text=f"Yes. {i}") for i in range(6)]
    )
    assert run_module(WORKER, str(folder.path)).returncode == 0
    found = report.load(folder.evaluation)
    assert found is not None
    assert list(found.difference) == ["loss"]
    assert found.samples == ()


@pytest.mark.parametrize(
    ("spoil", "code", "words"),
    [
        ("adapter", 2, "no trained weights yet"),
        ("rows", 2, "held back no rows"),
        ("base", 2, "is not on this machine any more"),
        ("metric", 2, "there is no metric 'exact_mach'"),
        ("weights", 2, "a weight file is damaged"),
    ],
)
def test_what_can_be_missing(tmp_path: Path, model: Path, spoil: str, code: int, words: str) -> None:
    settings = '[evaluate]\nmetrics = ["exact_mach"]\n' if spoil == "metric" else ""
    folder = make_run(tmp_path, model, settings=settings)
    if spoil != "adapter":
        write_adapter(folder.adapter, model)
    if spoil == "rows":
        (folder.data / "test.parquet").unlink()
    if spoil == "weights":
        (folder.adapter / "adapter_model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    if spoil == "base":
        document = json.loads(folder.plan.read_text())
        folder.plan.write_text(json.dumps({**document, "model_folder": str(tmp_path / "gone")}))
    done = run_module(WORKER, str(folder.path))
    assert done.returncode == code, done.stderr
    end = status.reality(folder, "evaluate")
    assert end.state == "failed"
    assert words in end.message
    assert report.load(folder.evaluation) is None


def test_a_request_stops_it(run: RunFolder) -> None:
    run.control.mkdir()
    (run.control / "1.json").write_text('{"request": "stop"}')
    done = run_module(WORKER, str(run.path))
    assert done.returncode == 0, done.stderr
    assert status.reality(run, "evaluate").state == "stopped"
    assert report.load(run.evaluation) is None
    assert [event["id"] for event in EventReader(run.events).read() if event["kind"] == "control"] == ["1"]


def test_one_job_at_a_time(run: RunFolder) -> None:
    with status.hold(run, "train"):
        done = run_module(WORKER, str(run.path))
    assert done.returncode == 2
    assert "already training" in done.stderr


def test_started_in_the_background_and_stopped_by_request(run: RunFolder) -> None:
    launch.start(run, "evaluate")
    control.request(run, "stop")
    assert wait(run).state == "stopped"
    assert report.load(run.evaluation) is None
    launch.start(run, "evaluate")
    assert wait(run).state == "finished"
    assert report.load(run.evaluation) is not None


def wait(folder: RunFolder) -> status.Reality:
    """The evaluation once its process has ended."""
    deadline = time.monotonic() + 240
    while status.alive(folder):
        assert time.monotonic() < deadline, folder.log.read_text()
        time.sleep(0.1)
    return status.reality(folder, "evaluate")
