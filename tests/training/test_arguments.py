"""Counting steps, kept progress, gauges: what needs no training to be seen."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_ft.errors import InputError
from tui_ft.runs import status
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.reporter import Reporter
from tui_ft.runs.view import view
from tui_ft.training.gauges import report_gauges
from tui_ft.training.progress import Progress


@given(st.lists(st.floats(allow_nan=True), max_size=30), st.integers(1, 5))
def test_best_and_patience(losses: list[float], patience: int) -> None:
    progress = Progress()
    for step, loss in enumerate(losses, 1):
        progress = progress.evaluated(step, loss)
    finite = [loss for loss in losses if math.isfinite(loss)]
    assert progress.best_loss == (min(finite) if finite else None)
    if progress.best_step is not None:
        assert losses[progress.best_step - 1] == progress.best_loss
    assert progress.stale == len(losses) - (progress.best_step or 0)
    assert progress.should_stop(patience) == (progress.stale >= patience)
    assert not progress.should_stop(0)


def test_an_evaluation_in_between_costs_no_patience() -> None:
    progress = Progress().evaluated(5, 1.0).evaluated(6, 2.0, counts=False)
    assert (progress.stale, progress.best_step, progress.evaluated_step) == (0, 5, 6)
    assert progress.evaluated(7, 0.5, counts=False).best_step == 7


def test_progress_survives_being_written(tmp_path: Path) -> None:
    progress = Progress(best_step=3, best_loss=0.1, evaluated_step=4, stale=1, tokens=99, seconds=1.5)
    progress.write(tmp_path)
    assert Progress.read(tmp_path) == progress


@pytest.mark.parametrize("text", ["", "[]", '{"best": 3}', "null"])
def test_torn_progress_is_an_input_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "progress.json").write_text(text)
    with pytest.raises(InputError, match="cannot be read"):
        Progress.read(tmp_path)


def test_gauges_reach_the_view(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with status.hold(run, "train"), Reporter(run, "train") as reporter:
        report_gauges(reporter)
    host = view(run).host
    assert host is not None
    assert host.ram_total_bytes is not None
    assert host.ram_used_bytes is not None
    assert 0 < host.ram_used_bytes < host.ram_total_bytes
    assert host.cpu is not None
    assert 0 <= host.cpu <= 1
