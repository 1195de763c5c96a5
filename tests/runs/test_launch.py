"""Starting workers, with a small real process in place of a training."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runs.test_checkpoints import save
from tests.sample_plan import make_plan
from tui_ft.errors import InputError
from tui_ft.files import write_json
from tui_ft.hardware.facts import Gpu
from tui_ft.runs import amendments, changes, launch, status
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.status import Holder, Status

WORKER = """
import json, os, sys, time
from pathlib import Path
from tui_ft.runs import status
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.launch import LOCK_VARIABLE
folder = RunFolder(Path(sys.argv[1]))
with status.hold(folder, "train", inherited=int(os.environ.pop(LOCK_VARIABLE))):
    print("hello from the worker")
    facts = {"args": sys.argv[2:], "sid": os.getsid(0), "cwd": os.getcwd(), "env": dict(os.environ),
             "stdin": os.readlink("/proc/self/fd/0"), "path": sys.path}
    Path("facts.json.new").write_text(json.dumps(facts))
    Path("facts.json.new").rename("facts.json")
    while not Path("end").exists():
        time.sleep(0.01)
"""


@pytest.fixture
def worker(run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A worker that waits for a file called `end`."""
    module = tmp_path / "modules" / "small_worker.py"
    module.parent.mkdir()
    module.write_text(WORKER)
    monkeypatch.setenv("PYTHONPATH", str(module.parent))
    monkeypatch.setattr(launch, "WORKERS", {"train": "small_worker"})
    yield
    (run.path / "end").touch()
    wait_until(lambda: not status.alive(run))


def wait_until(done: object, seconds: float = 20.0) -> None:
    """Poll until `done()` is true."""
    deadline = time.monotonic() + seconds
    while not done():  # type: ignore[operator]
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def facts(run: RunFolder) -> dict[str, object]:
    """What the worker found."""
    path = run.path / "facts.json"
    wait_until(path.exists)
    document: dict[str, object] = json.loads(path.read_text())
    return document


@pytest.mark.usefixtures("worker")
def test_a_worker_is_on_its_own(run: RunFolder) -> None:
    pid = launch.start(run, "train", ["--flag"])
    found = facts(run)
    assert found["args"] == ["--flag"]
    assert found["sid"] == pid != os.getsid(0)
    assert found["stdin"] == "/dev/null"
    assert found["cwd"] == str(run.path)
    environment = found["env"]
    assert isinstance(environment, dict)
    assert environment["TOKENIZERS_PARALLELISM"] == "false"
    assert environment["CUDA_VISIBLE_DEVICES"] == ""
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert environment["OMP_NUM_THREADS"] == "1"  # the user's own setting wins
    assert str(run.path) not in found["path"]  # type: ignore[operator]
    holder = Holder.read(run)
    assert holder is not None
    assert (holder.job, holder.pid) == ("train", pid)
    assert run.log.read_text() == "hello from the worker\n"


@pytest.mark.usefixtures("worker")
def test_a_second_start_is_refused_and_the_first_goes_on(run: RunFolder) -> None:
    pid = launch.start(run, "train")
    for _ in range(2):
        with pytest.raises(InputError, match="already training") as caught:
            launch.start(run, "train")
        assert f"tui-ft watch {run.id}" in caught.value.fix
    facts(run)
    holder = Holder.read(run)
    assert holder is not None
    assert holder.pid == pid


@pytest.mark.usefixtures("worker")
def test_a_killed_worker_is_lost(run: RunFolder) -> None:
    pid = launch.start(run, "train")
    facts(run)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: status.reality(run).state == "lost")


@pytest.mark.usefixtures("worker")
def test_a_worker_outlives_its_starter(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys;from pathlib import Path;from tui_ft.runs import launch;"
        "from tui_ft.runs.folder import RunFolder;launch.WORKERS={'train':'small_worker'};"
        "print(launch.start(RunFolder(Path(sys.argv[1])),'train'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(run.path)], check=True, capture_output=True, text=True
    )
    facts(run)
    holder = Holder.read(run)
    assert holder is not None
    assert holder.pid == int(done.stdout)


def test_a_finished_run_is_not_started_again(run: RunFolder) -> None:
    status.write(run, Status("finished"))
    with pytest.raises(InputError, match="this run is finished"):
        launch.start(run, "train")


@pytest.mark.usefixtures("worker")
def test_a_finished_run_is_made_longer_and_that_is_written_down(run: RunFolder) -> None:
    save(run, 12)
    status.write(run, Status("finished"))
    with pytest.raises(InputError, match="would not make it longer"):
        launch.resume(run, settings=["train.epochs=1"])
    assert not amendments.read(run)
    launch.resume(run, settings=["train.epochs=3", "train.learning_rate=1e-4"])
    assert facts(run)["args"] == ["--resume"]
    (made,) = amendments.read(run)
    assert (made.step, made.why, made.values) == (12, "extended", {"train.epochs": 3})
    assert [(change.step, change.values) for change in changes.read(run)] == [
        (12, {"train.learning_rate": 1e-4})
    ]


def test_a_run_with_a_checkpoint_is_resumed_not_restarted(run: RunFolder) -> None:
    save(run, 12)
    status.write(run, Status("stopped"))
    with pytest.raises(InputError, match="checkpoint at step 12") as caught:
        launch.start(run, "train")
    assert f"tui-ft resume {run.id}" in caught.value.fix


def test_nothing_saved_means_nothing_to_resume(run: RunFolder) -> None:
    status.write(run, Status("failed"))
    with pytest.raises(InputError, match="nothing to resume"):
        launch.resume(run)
    assert status.reality(run).state == "failed"


def test_a_start_that_fails_leaves_the_status_as_it_was(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.log.mkdir()
    with pytest.raises(Exception, match="cannot write"):
        launch.start(run, "train")
    assert status.reality(run).state == "queued"
    assert not status.alive(run)


def test_the_chosen_gpu_is_the_only_one_seen(run: RunFolder) -> None:
    environment = launch._environment(make_plan(device="cuda", model_folder=""), "GPU-1234", 5)
    assert environment["CUDA_VISIBLE_DEVICES"] == "GPU-1234"
    assert environment["TUI_FT_RUN_LOCK"] == "5"


def test_without_a_choice_the_freest_gpu_of_the_planned_kind_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def card(index: int, name: str, free: int | None, *, visible: bool = True) -> Gpu:
        return Gpu(index, f"GPU-{index}", name, 24, free, (8, 9), None, None, None, None, visible=visible)

    cards = [
        card(0, "L4", 5),
        card(1, "L4", 20),
        card(2, "H100", 80),
        card(3, "L4", 24, visible=False),
        card(4, "L4", None),
    ]
    monkeypatch.setattr("tui_ft.hardware.nvml.sample", lambda: tuple(cards))
    for name, expected in (("L4", "GPU-1"), ("H100", "GPU-2"), ("another", "GPU-2")):
        environment = launch._environment(make_plan(device="cuda", device_name=name), "", 5)
        assert environment["CUDA_VISIBLE_DEVICES"] == expected
    cards.clear()
    assert "CUDA_VISIBLE_DEVICES" not in launch._environment(make_plan(device="cuda"), "", 5)


def test_an_unreadable_plan_is_found_before_anything_starts(run: RunFolder) -> None:
    write_json(run.plan, {})
    with pytest.raises(InputError, match=r"plan\.json"):
        launch.start(run, "train")
    assert not run.alive.exists()
