"""What a viewer sees, from files alone."""

from __future__ import annotations

import json
import math
import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tui_ft.runs import status
from tui_ft.runs.curves import CurveBuilder
from tui_ft.runs.events import EventLog
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.status import Status
from tui_ft.runs.view import RunWatcher, show_json, view


def step(log: EventLog, number: int, **values: Any) -> None:
    """Append a step event."""
    log.append(
        "step", step=number, **{"loss": 2.0 / number, "lr": 1e-4, "grad_norm": 1.0, "seconds": 2.0, **values}
    )


def test_a_run_that_was_never_started(run: RunFolder) -> None:
    found = view(run)
    assert (found.state, found.step, found.steps, found.loss, found.eta_s) == ("queued", 0, 40, None, None)
    assert found.name == "support-json"
    assert found.jobs == {"train": "queued"}
    document = json.loads(json.dumps(show_json(found), allow_nan=False))
    keys = {"run", "state", "step", "steps", "loss", "eval_loss", "best", "alerts", "artefacts"}
    assert keys <= document.keys()


def test_a_watcher_reads_on(run: RunFolder) -> None:
    watcher = RunWatcher(run)
    with status.hold(run, "train"), EventLog(run.events) as log:
        status.write(run, Status("training", heartbeat=time.time(), steps=40))
        log.append("start", job="train")
        for number in range(1, 9):
            step(log, number, tokens=number * 100)
        log.append("eval", step=8, eval_loss=0.7, seconds=4.0, text="evaluated 5 rows in 4 s")
        first = watcher.poll()
        assert first.curves["loss"].steps == tuple(range(1, 9))
        assert first.best is not None
        assert (first.best.step, first.best.eval_loss) == (8, 0.7)
        assert first.tokens == 800
        # 32 steps of 2 s and four evaluations of 4 s
        assert first.eta_s == (80.0, 80.0)
        step(log, 9, loss=math.nan)
        log.append("alert", id="nan", severity="error", what="not a number", action="stop", step=9)
        log.append("eval", step=9, eval_loss=0.9)
        second = watcher.poll()
    assert second.loss is None
    assert second.curves["loss"].values[-1] is None
    assert second.eval_loss == 0.9
    assert second.best == first.best
    assert [alert.id for alert in second.alerts] == ["nan"]
    assert [news.text for news in second.news] == ["evaluated 5 rows in 4 s"]


def test_steps_after_the_resumed_checkpoint_are_forgotten(run: RunFolder) -> None:
    with EventLog(run.events) as log:
        for number in range(1, 8):
            step(log, number)
        log.append("start", job="train", resumed_from=5)
        step(log, 6, loss=9.0)
    found = view(run)
    assert found.curves["loss"].steps == (1, 2, 3, 4, 5, 6)
    assert found.loss == 9.0


def test_a_run_begun_again_begins_its_curves_again(run: RunFolder) -> None:
    with EventLog(run.events) as log:
        log.append("start", job="train", resumed_from=None)
        for number in range(1, 4):
            step(log, number)
        log.append("start", job="evaluate")
        assert view(run).curves["loss"].steps == (1, 2, 3)
        log.append("start", job="train", resumed_from=None)
        step(log, 1, loss=7.0)
    assert view(run).curves["loss"].values == (7.0,)


def test_time_between_a_stop_and_a_resume_does_not_count(run: RunFolder) -> None:
    events = [
        {"t": 100.0, "kind": "start", "job": "train"},
        {"t": 130.0, "kind": "step", "step": 1, "loss": 1.0},
        {"t": 500.0, "kind": "phase", "job": "evaluate"},
        {"t": 1000.0, "kind": "start", "job": "train", "resumed_from": 1},
        {"t": 1010.0, "kind": "step", "step": 2, "loss": 1.0},
    ]
    run.events.write_text("".join(json.dumps(event) + "\n" for event in events))
    status.write(run, Status("stopped", heartbeat=1012.0))
    found = view(run)
    assert found.started == 100.0
    assert found.elapsed_s == 42.0


def test_an_evaluation_afterwards_leaves_the_training_finished(run: RunFolder) -> None:
    status.write(run, Status("finished", step=40, steps=40))
    with status.hold(run, "evaluate"):
        status.write(run, Status("evaluating", "evaluate", done=3, total=50, phase="answering"))
        found = view(run)
        assert (found.state, found.job, found.done, found.total) == ("evaluating", "evaluate", 3, 50)
        assert found.jobs == {"train": "finished", "evaluate": "evaluating"}
        assert found.eta_s is None
    after = view(run)
    assert (after.state, after.jobs["evaluate"]) == ("finished", "lost")


def test_what_a_viewer_shows_is_harmless(run: RunFolder) -> None:
    run.log.write_bytes(b"10%\r50%\r100%\n\x1b]52;c;aGk=\x07pasted \xff\n\n")
    with EventLog(run.events) as log:
        log.append("alert", id="x", severity="odd", what="\x1b[2Jgone", action="a\nb")
        log.append("checkpoint", text="\x1b[31msaved")
    found = view(run)
    assert found.log == ("100%", "pasted \ufffd")
    assert (found.alerts[0].what, found.alerts[0].action, found.alerts[0].severity) == (
        "gone",
        "a b",
        "warning",
    )
    assert found.news[0].text == "saved"


def test_events_of_odd_shapes_do_no_harm(run: RunFolder) -> None:
    odd: list[Any] = [
        {"kind": "step"},
        {"kind": "step", "step": "x", "loss": []},
        {"kind": "step", "step": 1, "loss": "high", "lr": True},
        {"kind": "eval", "step": 1, "eval_loss": {}},
        {"kind": "start", "resumed_from": "x", "t": "noon"},
        {"kind": "gauges", "gpus": [1, {"name": 3, "power_w": "hot"}], "host": {"cpu": "busy"}},
        {"kind": "gauges", "gpus": "none", "host": 3},
    ]
    run.events.write_text("".join(json.dumps(event) + "\n" for event in odd))
    found = view(run)
    assert found.loss is None
    assert found.gpus == ()
    assert found.host is None


def test_a_lost_run_says_how_to_go_on(run: RunFolder) -> None:
    status.write(run, Status("training", step=3, phase="training"))
    found = view(run)
    assert found.state == "lost"
    assert found.fix == f"`tui-ft resume {run.id}` goes on from the last checkpoint."


def test_a_very_long_run_is_thinned_out_and_stays_small(run: RunFolder) -> None:
    with run.events.open("wb") as file:
        for chunk in range(30):
            file.write(
                b"".join(
                    b'{"t":1732310000.123,"kind":"step","step":%d,"loss":0.51234,"lr":0.0002,"grad_norm":1.01,'
                    b'"tokens_per_s":1234.5,"tokens":123456,"seconds":0.5,"memory_bytes":123456789}\n'
                    % number
                    for number in range(chunk * 10_000, (chunk + 1) * 10_000)
                )
            )
    found = view(run)
    assert 1000 < len(found.curves["loss"].steps) <= 4096
    assert found.curves["loss"].steps[-1] > 299_000


@given(st.lists(st.none() | st.floats(-1e6, 1e6), max_size=300), st.integers(2, 16))
def test_curves_stay_small_and_keep_their_mean_and_gaps(values: list[float | None], most: int) -> None:
    builder = CurveBuilder(most)
    for number, value in enumerate(values):
        builder.add(number, value)
    curve = builder.curve()
    assert len(curve.steps) == len(curve.values) <= most + 1
    assert list(curve.steps) == sorted(set(curve.steps))
    if values:
        assert builder.last == values[-1]
    known = [value for value in values if value is not None]
    assert all(min(known) - 1e-6 <= value <= max(known) + 1e-6 for value in curve.values if value is not None)


@given(st.integers(0, 200), st.integers(0, 200), st.integers(2, 16))
def test_cut_forgets_later_points(count: int, cut: int, most: int) -> None:
    builder = CurveBuilder(most)
    for number in range(count):
        builder.add(number, 1.0)
    builder.cut(cut)
    assert all(found <= cut for found in builder.curve().steps)
