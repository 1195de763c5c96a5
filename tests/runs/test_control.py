"""Requests to a worker: taken once, in order; rubbish set aside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tui_ft.errors import InputError
from tui_ft.runs import control, status
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.status import Status


def test_requests_are_taken_once_and_in_order(run: RunFolder) -> None:
    with status.hold(run, "train"):
        asked = [control.request(run, name) for name in ("save", "evaluate", "stop")]
    assert control.take(run).requests == tuple(asked)
    assert control.take(run) == control.Taken()


def test_nothing_at_work_means_nothing_to_ask(run: RunFolder) -> None:
    status.write(run, Status("stopped"))
    with pytest.raises(InputError, match="this run is stopped: there is nothing to pause") as caught:
        control.request(run, "pause")
    assert f"tui-ft resume {run.id}" in caught.value.fix
    assert not run.control.exists()


def test_an_evaluation_can_be_stopped_and_not_paused(run: RunFolder) -> None:
    with status.hold(run, "evaluate"):
        control.request(run, "stop")
        with pytest.raises(InputError, match="nothing to pause"):
            control.request(run, "pause")


def test_rubbish_is_set_aside_and_named(run: RunFolder, tmp_path: Path) -> None:
    run.control.mkdir()
    (run.control / "a.json").write_text("{")
    (run.control / "b.json").write_text('{"request": "rm -rf"}')
    (run.control / "c.json").write_bytes(b"[" * 1_000_000)
    (run.control / "d.json").mkdir()
    (run.control / "e.json").symlink_to("/dev/zero")
    os.mkfifo(run.control / "f.json")
    (run.control / ".half-written").write_text("{")
    (run.control / "g.json").write_text('{"request": "save"}')
    found = control.take(run)
    assert [request.name for request in found.requests] == ["save"]
    assert found.rejected == ("a.json", "b.json", "c.json", "d.json", "e.json", "f.json")
    assert len(list((run.control / "rejected").iterdir())) == 6
    assert control.take(run) == control.Taken()
