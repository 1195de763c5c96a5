"""States, locks and who is really alive."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_ft.errors import InputError
from tui_ft.runs import status
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.status import Holder, Status

HOLDER = """
import sys
from pathlib import Path
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.status import hold
with hold(RunFolder(Path(sys.argv[1])), "train"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_status_survives_a_round_trip(run: RunFolder) -> None:
    given = Status("training", pid=1, process="x", started=1.0, heartbeat=2.0, step=3, steps=9, best_loss=0.5)
    status.write(run, given)
    assert status.read(run) == given


@given(
    st.dictionaries(st.sampled_from(sorted(asdict(Status("queued")))), st.none() | st.integers() | st.text())
)
def test_any_status_file_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, document: dict[str, object]
) -> None:
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    folder.status().write_text(json.dumps(document))
    found = status.read(folder)
    assert found is None or found.job == "train"
    assert status.reality(folder).state in ("lost", document.get("state", "lost"))


def test_a_run_that_was_never_started_is_queued(run: RunFolder) -> None:
    assert status.reality(run).state == "queued"
    assert not status.alive(run)


def test_a_torn_status_without_a_process_is_lost(run: RunFolder) -> None:
    run.status().write_text('{"state": "trai')
    assert status.reality(run).state == "lost"


def test_working_without_a_process_is_lost_and_ended_is_not(run: RunFolder) -> None:
    status.write(run, Status("training", pid=os.getpid(), heartbeat=time.time(), phase="training"))
    found = status.reality(run)
    assert found.state == "lost"
    assert found.message == "the process ended without a word while training"
    status.write(run, Status("finished"))
    assert status.reality(run).state == "finished"


def test_the_lock_is_held_as_long_as_the_process_lives(run: RunFolder) -> None:
    status.write(run, Status("training", heartbeat=1000.0))
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()
        assert Holder.read(run) == Holder("train", process.pid, status.process_identity(process.pid))
        found = status.reality(run, now=1075.0)
        assert found.state == "training"
        assert found.message == "no heartbeat for 75 s"
        with pytest.raises(InputError, match=f"already training .process {process.pid}."):
            status.take_lock(run, "evaluate")
        process.kill()
        process.wait()
        assert Holder.read(run) is None
        assert status.reality(run).state == "lost"


def test_an_orphan_that_inherited_the_lock_does_not_count(run: RunFolder) -> None:
    handle = status.take_lock(run, "train")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    own = status.process_identity(os.getpid())
    text = json.dumps({"job": "train", "pid": ended.pid, "process": own})
    os.ftruncate(handle, 0)
    os.pwrite(handle, text.encode(), 0)
    assert Holder.read(run) is None
    status.sign(handle, "train", os.getpid())
    assert Holder.read(run) is not None
    os.close(handle)
    assert Holder.read(run) is None


def test_a_pid_used_again_is_not_the_same_process() -> None:
    mine = status.process_identity(os.getpid())
    assert status.process_runs(os.getpid(), mine) is True
    boot, space, ticks = mine.rsplit("/", 2)
    assert status.process_runs(os.getpid(), f"{boot}/{space}/{int(ticks) + 1}") is False
    assert status.process_runs(os.getpid(), f"another-boot/{space}/{ticks}") is None
    assert status.process_runs(os.getpid(), "") is None


def test_many_readers_never_stop_a_start(run: RunFolder) -> None:
    code = (
        "import sys;from pathlib import Path;from tui_ft.runs.folder import RunFolder;"
        "from tui_ft.runs.status import alive\nprint(flush=True)\n"
        "while True: alive(RunFolder(Path(sys.argv[1])))"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(run.path)], stdout=subprocess.PIPE) as reader:
        assert reader.stdout
        reader.stdout.readline()
        for _ in range(100):
            os.close(status.take_lock(run, "train"))
        reader.kill()


def test_a_link_in_place_of_the_lock_is_refused(run: RunFolder, tmp_path: Path) -> None:
    run.alive.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Exception, match="cannot write"):
        status.take_lock(run, "train")
    assert not (tmp_path / "elsewhere").exists()
