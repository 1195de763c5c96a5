"""What a worker writes for its watchers."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tui_ft.runs import reporter as reporters
from tui_ft.runs import status
from tui_ft.runs.events import EventReader
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.reporter import Reporter
from tui_ft.runs.view import view


def test_a_job_is_seen_from_start_to_end(run: RunFolder) -> None:
    with status.hold(run, "train"), Reporter(run, "train") as reporter:
        found = view(run)
        assert (found.state, found.pid, found.alive) == ("starting", os.getpid(), True)
        reporter.enter("training", "training", total=7)
        reporter.update(step=3, steps=9)
        reporter.alert("odd", "warning", "something is odd", "look at it", step=3)
        reporter.event("checkpoint", step=3, text="Saved step 3")
        reporter.enter("saving", "saving")
        found = view(run)
        assert (found.state, found.step, found.steps, found.phase) == ("saving", 3, 9, "saving")
        assert [news.text for news in found.news] == ["something is odd", "Saved step 3"]
        reporter.end("failed", "it broke", "mend it")
    found = view(run)
    assert (found.state, found.message, found.fix, found.alive) == ("failed", "it broke", "mend it", False)


def test_the_heart_beats_and_takes_the_pulse(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporters, "HEARTBEAT_S", 0.01)
    beats = threading.Semaphore(0)

    def pulse(reporter: Reporter) -> None:
        reporter.events.append("pulse")
        beats.release()

    with Reporter(run, "train", pulse=pulse) as reporter:
        first = reporter.status.heartbeat
        for _ in range(3):
            assert beats.acquire(timeout=10)
        later = status.read(run)
        assert later is not None
        assert first is not None
        assert later.heartbeat is not None
        assert later.heartbeat > first
    assert sum(event["kind"] == "pulse" for event in EventReader(run.events).read()) >= 3


def test_a_heartbeat_that_cannot_be_written_ends_nothing(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reporters, "HEARTBEAT_S", 0.01)
    beats = threading.Semaphore(0)
    with Reporter(run, "train", pulse=lambda _: beats.release()) as reporter:
        moved = Path(f"{run.path}-away")
        assert beats.acquire(timeout=10)
        run.path.rename(moved)
        run.path.write_text("in the way")
        deadline = time.monotonic() + 10
        while "heartbeat" not in capfd.readouterr().err:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        run.path.unlink()
        moved.rename(run.path)
        reporter.end("finished", "done")
    found = status.read(run)
    assert found is not None
    assert replace(found, heartbeat=None).state == "finished"
