"""The dashboard: honest states, keys that ask or explain, and text that is what the files say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tui_ft.screens import dashboard

from tests.screens import sample_run
from tests.screens.pilot import (
    LARGE,
    draft,
    make_app,
    place,
    press,
    running,
    shown,
    text_of,
    type_text,
    until,
)
from tui_ft.runs.control import take
from tui_ft.runs.status import State
from tui_ft.runs.view import view


async def test_a_living_run_is_what_one_sees_first(tmp_path: Path) -> None:
    folder = sample_run.make_run(tmp_path)
    with sample_run.at_work(folder):
        async with running(make_app(tmp_path)) as pilot:
            await until(pilot, lambda: "step 61 of 105" in shown(pilot))
            assert place(pilot) == "train"
            screen = shown(pilot)
            for part in (
                "training",
                "min left",
                "RTX 4090",
                "97 %",
                "2,310 tokens/s",
                "best 0.978 at step 50",
            ):
                assert part in screen
            assert "$0." in text_of(pilot, "#gauges")


async def test_large_terminals_show_more_curves(tmp_path: Path) -> None:
    folder = sample_run.make_run(tmp_path)
    with sample_run.at_work(folder):
        async with running(make_app(tmp_path), LARGE) as pilot:
            await until(pilot, lambda: "gradient norm" in shown(pilot))
            assert "learning rate" in shown(pilot)
            assert "6 Train ●" in shown(pilot)


async def test_requests_reach_the_worker_and_stopping_asks_first(tmp_path: Path) -> None:
    folder = sample_run.make_run(tmp_path)
    with sample_run.at_work(folder):
        async with running(make_app(tmp_path)) as pilot:
            await until(pilot, lambda: "step 61" in shown(pilot))
            await press(pilot, "k")
            assert "Stop this run?" in shown(pilot)
            assert "the weights of step 50" in shown(pilot)
            await press(pilot, "enter")  # the safe answer is marked
            assert "Stop this run?" not in shown(pilot)
            for keys, wanted in (
                (("k", "y"), "stop"),
                (("p",), "pause"),
                (("c",), "save"),
                (("e",), "evaluate"),
            ):
                await press(pilot, *keys)
                await until(pilot, lambda: bool(list(folder.control.glob("*.json"))))
                assert [request.name for request in take(folder).requests] == [wanted]


async def test_an_alert_offers_its_action_and_is_closed_by_enter(tmp_path: Path) -> None:
    folder = sample_run.make_run(tmp_path)
    sample_run.alert(
        folder, "Validation has stopped improving since step 50.", "k stops now and keeps step 50."
    )
    with sample_run.at_work(folder):
        async with running(make_app(tmp_path)) as pilot:
            await until(pilot, lambda: "stopped improving" in shown(pilot))
            assert "enter carry on" in shown(pilot)
            await press(pilot, "enter")
            assert "stopped improving" not in shown(pilot)


async def test_leaving_the_dashboard_leaves_the_run(tmp_path: Path) -> None:
    folder = sample_run.make_run(tmp_path)
    with sample_run.at_work(folder):
        app = make_app(tmp_path)
        async with running(app) as pilot:
            await until(pilot, lambda: "step 61" in shown(pilot))
            await pilot.press("q")
        assert "The run goes on" in app.farewell()
        assert take(folder).requests == ()


@pytest.mark.parametrize(
    ("state", "says", "key"),
    [
        ("finished", "Training is finished.", "enter compare with base"),
        ("stopped", "what was learned is kept", "enter compare with base"),
        ("paused", "Paused.", "p resume"),
        ("failed", "the GPU ran out of memory", "p resume"),
        ("training", "The run is lost", "p resume"),  # it says it trains, and nobody does
    ],
)
async def test_a_run_that_is_over_says_so(tmp_path: Path, state: State, says: str, key: str) -> None:
    folder = sample_run.make_run(tmp_path)
    sample_run.leave(folder, state, message="the GPU ran out of memory" if state == "failed" else "")
    async with running(make_app(tmp_path, run=folder.id)) as pilot:
        await until(pilot, lambda: says in shown(pilot))
        assert key in shown(pilot)
        assert "stop and keep" not in shown(pilot)
        await press(pilot, "k")
        await until(pilot, lambda: "nothing to stop" in shown(pilot))


async def test_a_worker_that_falls_silent_is_not_called_well(tmp_path: Path) -> None:
    folder = sample_run.make_run(tmp_path)
    with sample_run.at_work(folder, silent_s=95.0):
        async with running(make_app(tmp_path)) as pilot:
            await until(pilot, lambda: "No heartbeat for" in shown(pilot))


async def test_a_loss_that_is_no_number_is_a_gap_and_said(tmp_path: Path) -> None:
    folder = sample_run.make_run(tmp_path, broken_after=40)
    sample_run.leave(folder, "failed", message="the loss is no number since step 41")
    async with running(make_app(tmp_path, run=folder.id)) as pilot:
        await until(pilot, lambda: "train: not a number" in shown(pilot))
        assert "no number since step 41" in shown(pilot)


async def test_the_log_is_shown_without_its_control_characters(tmp_path: Path) -> None:
    folder = sample_run.make_run(tmp_path)
    sample_run.leave(folder, "finished")
    folder.log.write_bytes(b"10%\r50%\r100%\n[/bold]\x1b]52;c;aGk=\x07 done \xff\n")
    async with running(make_app(tmp_path, run=folder.id)) as pilot:
        await until(pilot, lambda: "finished" in shown(pilot))
        await press(pilot, "l")
        assert "100%" in shown(pilot)
        assert "10%" not in shown(pilot).replace("100%", "")
        assert "[/bold] done" in shown(pilot)


async def test_a_damaged_run_folder_is_told_calmly(tmp_path: Path) -> None:
    folder = sample_run.make_run(tmp_path)
    folder.plan.write_text("{")
    folder.events.write_bytes(b"\x00\xff{]\n")
    folder.status().write_text("[]")
    async with running(make_app(tmp_path, run=folder.id)) as pilot:
        await until(pilot, lambda: "step 0" in shown(pilot))


async def test_a_run_that_is_gone_is_told(tmp_path: Path) -> None:
    async with running(make_app(tmp_path, run="no-such-run")) as pilot:
        await until(pilot, lambda: "There is no run" in shown(pilot))


async def test_runs_are_listed_with_living_ones_first_and_opened(tmp_path: Path) -> None:
    old = sample_run.make_run(tmp_path)
    sample_run.leave(old, "finished", step=105)
    new = sample_run.make_run(tmp_path)
    with sample_run.at_work(new):
        async with running(make_app(tmp_path)) as pilot:
            await until(pilot, lambda: "step 61" in shown(pilot))
            await press(pilot, "escape")
            assert place(pilot) == "runs"
            listed = [line for line in shown(pilot).splitlines() if "support-json" in line and "step" in line]
            assert "training" in listed[0]
            assert "finished" in listed[1]
            await press(pilot, "down", "enter")
            await until(pilot, lambda: "Training is finished" in shown(pilot))


async def test_a_new_recipe_from_an_old_run(tmp_path: Path) -> None:
    folder = sample_run.make_run(tmp_path)
    sample_run.leave(folder, "finished")
    async with running(make_app(tmp_path)) as pilot:
        await press(pilot, "r", "n")
        assert place(pilot) == "plan"
        assert draft(pilot).model_id == "owner/name"


def test_gauges_on_a_machine_without_a_gpu(tmp_path: Path) -> None:
    folder = sample_run.make_run(tmp_path, gpu=False)
    with sample_run.at_work(folder):
        run = replace(view(folder), price_per_hour=None, cost=None)
        rows = [row.plain for row in dashboard.gauges(run, 34)]
    assert "50 %" in rows[0]
    assert "6.0 of 24" in rows[1]
    assert not any("spent" in row for row in rows)


def test_an_unknown_number_is_not_zero(tmp_path: Path) -> None:
    run = replace(view(sample_run.make_run(tmp_path)), tokens_per_s=None, lr=None, grad_norm=None)
    rows = [row.plain for row in dashboard.gauges(run, 34)]
    assert sum("unknown" in row for row in rows) == 3


def test_time_left_is_a_range_only_when_that_says_something() -> None:
    assert dashboard.left((60.0, 80.0)) == "1 min 10 s left"
    assert dashboard.left((950.0, 1250.0)) == "18 min left (16–21)"
    assert dashboard.left((7200.0, 9000.0)) == "2 h 15 min left (2.0–2.5 h)"


def test_money_comes_from_time_and_price(tmp_path: Path) -> None:
    run = replace(view(sample_run.make_run(tmp_path)), price_per_hour=0.5, cost=0.25, eta_s=(1800.0, 1800.0))
    assert dashboard.spent(run) == "$0.25 of ~$0.50"
    assert dashboard.spent(replace(run, price_per_hour=None, cost=None)) == ""


def test_the_sample_run_is_what_show_prints(tmp_path: Path) -> None:
    folder = sample_run.make_run(tmp_path)
    assert json.loads(folder.plan.read_text())["steps"] == sample_run.STEPS


async def test_a_digit_brings_one_pane_to_the_front_and_esc_the_others_back(tmp_path: Path) -> None:
    folder = sample_run.make_run(tmp_path)
    with sample_run.at_work(folder):
        async with running(make_app(tmp_path)) as pilot:
            await until(pilot, lambda: "step 61" in shown(pilot))
            assert "gradient norm" not in shown(pilot)
            await press(pilot, "3")
            await until(pilot, lambda: "gradient norm" in shown(pilot))
            assert "validation" not in shown(pilot)
            await press(pilot, "5")
            await until(pilot, lambda: "memory in GiB" in shown(pilot))
            await press(pilot, "6")
            await until(pilot, lambda: "planned, by part" in shown(pilot))
            await press(pilot, "7")
            await until(pilot, lambda: shown(pilot).count("saved step") >= 6)
            await press(pilot, "escape")
            await until(pilot, lambda: "validation" in shown(pilot))
            assert place(pilot) == "train"
            await press(pilot, "escape")
            assert place(pilot) == "runs"


async def test_the_cursor_reads_figures_off_the_curve(tmp_path: Path) -> None:
    folder = sample_run.make_run(tmp_path)
    with sample_run.at_work(folder):
        async with running(make_app(tmp_path)) as pilot:
            await until(pilot, lambda: "step 61 of 105" in shown(pilot))
            await press(pilot, "left")
            assert "step 61   train" in text_of(pilot, "#legend")
            await press(pilot, *["left"] * 10)
            legend = text_of(pilot, "#legend")
            step = view(folder).curves["eval_loss"].at(50)
            assert step is not None
            assert step[1] is not None
            assert "step 51   train" in legend
            assert f"validation {step[1]:.3f} at 50" in legend
            assert "┆" in text_of(pilot, "#loss")
            await press(pilot, "escape")
            assert "┆" not in text_of(pilot, "#loss")
            assert place(pilot) == "train"


async def test_the_curve_of_another_run_lies_under_this_one(tmp_path: Path) -> None:
    other = sample_run.make_run(tmp_path, done=40)
    folder = sample_run.make_run(tmp_path)
    with sample_run.at_work(folder):
        async with running(make_app(tmp_path)) as pilot:
            await until(pilot, lambda: "step 61 of 105" in shown(pilot))
            await press(pilot, "v")
            await until(pilot, lambda: "Which run's curve?" in shown(pilot))
            assert other.id in shown(pilot)
            assert folder.id not in shown(pilot)
            await press(pilot, "enter")
            await until(pilot, lambda: "┄" in text_of(pilot, "#legend"))
            await press(pilot, "v")
            await until(pilot, lambda: "no other curve" in shown(pilot))
            await press(pilot, "up", "enter")
            await until(pilot, lambda: "┄" not in text_of(pilot, "#legend"))


async def test_all_alerts_can_be_read_later(tmp_path: Path) -> None:
    folder = sample_run.make_run(tmp_path)
    with sample_run.at_work(folder):
        async with running(make_app(tmp_path)) as pilot:
            await until(pilot, lambda: "step 61" in shown(pilot))
            await press(pilot, "a")
            assert "Nothing has needed you" in shown(pilot)
            sample_run.alert(folder, "Speed has fallen.", "Look at the temperature.")
            await until(pilot, lambda: "Speed has fallen." in shown(pilot))
            await press(pilot, "enter", "a")
            assert "Look at the temperature." in shown(pilot)


async def test_settings_change_while_it_trains(tmp_path: Path) -> None:
    folder = sample_run.make_run(tmp_path)
    with sample_run.at_work(folder):
        async with running(make_app(tmp_path)) as pilot:
            await until(pilot, lambda: "step 61" in shown(pilot))
            await press(pilot, "n")
            await until(pilot, lambda: bool(list(folder.control.glob("*.json"))))
            assert [request.name for request in take(folder).requests] == ["stop-at-epoch"]
            await press(pilot, "w")
            await until(pilot, lambda: "What is to change?" in shown(pilot))
            await press(pilot, "enter")
            await until(pilot, lambda: "The new value." in shown(pilot))
            await type_text(pilot, "7")
            await press(pilot, "enter")
            assert "less than or equal to 1" in shown(pilot)
            await press(pilot, "ctrl+u")
            await type_text(pilot, "1e-4")
            await press(pilot, "enter")
            await until(pilot, lambda: bool(list(folder.control.glob("*.json"))))
            (asked,) = take(folder).requests
            assert (asked.name, dict(asked.values)) == ("set", {"train.learning_rate": 1e-4})
