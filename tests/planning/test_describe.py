"""A plan in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.planning.situations import A100, BOXES, CPU, RTX_4090, gpu_box, model, recipe, report, smollm2
from tui_ft.planning.describe import headline, memory_bar, memory_parts, plan_lines, settings, time_text
from tui_ft.planning.make import make


@pytest.mark.parametrize("box", sorted(BOXES))
@pytest.mark.parametrize("width", [80, 120])
def test_a_plan_fits_the_screen(box: str, width: int) -> None:
    lines = plan_lines(make(recipe(), model(), report(), BOXES[box]), width=width)
    assert max(map(len, lines)) <= width
    assert lines[0].endswith(("SAFE: fits", "WON'T FIT"))


def test_the_head_says_what_is_trained_on_what() -> None:
    plan = make(recipe(), model(), report(), gpu_box(free_gib=12))
    assert headline(plan) == "QLoRA on model, 496 rows"
    full = make(recipe('[method]\nname = "full"\n'), smollm2(), report(), A100)
    assert headline(full) == "Full training of model, 496 rows"


def test_the_memory_bar_is_as_wide_as_asked_and_shows_what_stays_free() -> None:
    plan = make(recipe(), model(), report(), RTX_4090)
    for width in (10, 33, 60):
        assert len(memory_bar(plan, width)) == width
    assert memory_bar(plan, 40, ascii=True).strip("#=-.") == ""
    share = memory_bar(plan, 1000).count("·") / 1000
    assert plan.memory_available_bytes is not None
    assert share == pytest.approx(1 - plan.memory.peak_bytes / plan.memory_available_bytes, abs=0.01)


def test_a_plan_that_does_not_fit_fills_the_bar() -> None:
    plan = make(recipe('[method]\nname = "full"\n'), model(), report(), RTX_4090)
    assert "·" not in memory_bar(plan, 50)
    lines = plan_lines(plan)
    assert lines[0].endswith("WON'T FIT")
    assert any(line.startswith("! Does not fit") for line in lines)


def test_settings_show_value_and_reason_and_what_is_pinned() -> None:
    plan = make(recipe("[method]\nrank = 8\n"), model(), report(), RTX_4090)
    by_label = {setting.label: setting for setting in settings(plan)}
    assert by_label["rank"].value == "8"
    assert by_label["rank"].pinned
    assert not by_label["alpha"].pinned
    assert by_label["learning rate"].value == "2e-4"
    assert all(setting.why for setting in settings(plan))


def test_full_training_shows_no_adapter_settings() -> None:
    plan = make(recipe('[method]\nname = "full"\n'), smollm2(), report(), A100)
    assert not {"rank", "alpha", "dropout"} & {setting.label for setting in settings(plan)}


def test_parts_leave_out_the_empty() -> None:
    plan = make(recipe(), smollm2(), report(), CPU)
    assert all(size for _, size in memory_parts(plan))
    assert sum(size for _, size in memory_parts(plan)) == plan.memory.peak_bytes


def test_an_unknown_time_is_not_a_number() -> None:
    plan = make(recipe(), model(), report(), gpu_box("Tesla T4", 14.5, (7, 5)))
    assert time_text(plan) == "unknown"
    assert any("because no run on this generation" in line for line in plan_lines(plan))


def test_untrusted_names_reach_no_terminal() -> None:
    plan = make(recipe(), model(), report(), A100)
    assert "\x1b" not in "".join(plan_lines(replace(plan, model_id="owner/\x1b]52;c;evil\x07name")))
