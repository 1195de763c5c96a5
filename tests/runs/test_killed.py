"""Who ended a process that said nothing: the memory killer, a crash, a restart, or nobody knows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tui_ft.runs import killed, status
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.reporter import Reporter
from tui_ft.runs.status import Status
from tui_ft.runs.view import view


@pytest.fixture
def counts(tmp_path: Path) -> Path:
    """A cgroup's memory.events as the kernel writes it."""
    path = tmp_path / "memory.events"
    path.write_text("low 0\nhigh 0\nmax 12\noom 0\noom_kill 0\noom_group_kill 0\n")
    return path


def dead(run: RunFolder, **changes: object) -> Status:
    """The status a process leaves that is killed while it trains."""
    process = subprocess.Popen([sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"],
                               stdout=subprocess.PIPE)  # fmt: skip
    assert process.stdout
    process.stdout.readline()
    left = Status(
        "training",
        pid=process.pid,
        process=status.process_identity(process.pid),
        started=time.time(),
        heartbeat=time.time(),
        phase="training",
    )
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    left = replace(left, **changes)  # type: ignore[arg-type]
    status.write(run, left)
    return left


def test_a_kill_for_want_of_memory_is_named(run: RunFolder, counts: Path) -> None:
    dead(run, oom_counter=str(counts), oom_kills=0)
    counts.write_text(counts.read_text().replace("oom_kill 0", "oom_kill 1"))
    found = view(run)
    assert found.state == "lost"
    assert found.message == (
        "the machine ran out of memory (host RAM, not GPU) while training: the system ended the process"
    )
    assert f"tui-ft resume {run.id}" in found.fix


def test_a_kill_by_somebody_is_not_taken_for_that(run: RunFolder, counts: Path) -> None:
    dead(run, oom_counter=str(counts), oom_kills=0)
    found = view(run)
    assert found.message == "the process ended without a word while training"
    assert "goes on from the last checkpoint" in found.fix


@pytest.mark.parametrize("named", [True, False])
def test_the_kernels_log_names_the_process(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    left = dead(run)
    pid = left.pid if named else 1
    now = int((time.monotonic() + 1) * 1e6)
    log = tmp_path / "kmsg"
    log.write_text(
        f"6,1,100,-;Memory cgroup out of memory: Killed process {left.pid} (python) long before\n"
        f"3,2,{now},-;Out of memory: Killed process {pid} (python) total-vm:1kB, anon-rss:1kB\n"
    )
    monkeypatch.setattr(killed, "KMSG", log)
    assert ("host RAM" in view(run).message) is named


def test_a_crash_of_a_library_is_named(run: RunFolder) -> None:
    dead(run)
    run.log.write_text("step 3\nFatal Python error: Segmentation fault\n\nCurrent thread 0x01:\n")
    assert view(run).message == "a library crashed while training: Segmentation fault"


def test_a_restart_of_the_machine_is_named(run: RunFolder) -> None:
    left = dead(run)
    status.write(run, replace(left, process="another-boot/" + left.process.partition("/")[2]))
    assert view(run).message.startswith("this machine was restarted, or another one was at work, while")


def test_a_worker_notes_the_count_it_began_with(run: RunFolder) -> None:
    with Reporter(run, "train"):
        noted = status.read(run)
    assert noted is not None
    counter = killed.counter()
    assert noted.oom_counter == str(counter or "")
    assert noted.oom_kills == (killed.kills(counter) if counter else None)


def test_files_that_say_nothing_are_no_evidence(run: RunFolder, tmp_path: Path) -> None:
    assert killed.kills(tmp_path / "none") is None
    (tmp_path / "rubbish").write_bytes(b"\xff\x00oom_kill many\n")
    assert killed.kills(tmp_path / "rubbish") is None
    dead(run, oom_counter=str(tmp_path / "none"), oom_kills=0)
    assert "without a word" in view(run).message
