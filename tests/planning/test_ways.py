"""Other ways, steps of relief and larger cards: each leads to exactly the plan it announces."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.planning.situations import (
    A100,
    LLAMA_70B,
    RTX_4090,
    cpu_box,
    gpu_box,
    model,
    recipe,
    report,
    smollm2,
)
from tui_ft.models import catalogue
from tui_ft.planning.make import make
from tui_ft.planning.plan import FitPlan, Plan
from tui_ft.recipe import Recipe

SEVENTY = model(LLAMA_70B, 70_553_706_496)
LONG = report(typical=2000, spread=0.9)
ORDER = {"wont_fit": 0, "unknown": 1, "tight": 1, "safe": 2}


def way(plan: Plan, title: str) -> FitPlan:
    return next(way for way in plan.alternatives if way.title == title)


def test_three_ways_besides_the_plan() -> None:
    plan = make(recipe(), model(), report(), RTX_4090)
    assert [way.title for way in plan.alternatives] == ["safest", "best quality", "full training"]
    safest = way(plan, "safest")
    assert (safest.method, safest.micro_batch, safest.fits) == ("qlora", 1, "safe")
    assert safest.peak_bytes < 0.5 * plan.memory.peak_bytes
    assert "QLoRA instead of LoRA" in safest.reasons
    assert way(plan, "best quality").rank == 2 * plan.method.rank
    full = way(plan, "full training")
    assert full.fits == "wont_fit"
    assert full.time_s is not None
    assert full.steps


def test_the_fastest_way_says_what_it_cuts() -> None:
    plan = make(recipe(), model(), LONG, RTX_4090)
    fastest = way(plan, "fastest")
    assert fastest.time_s is not None
    assert plan.time_s is not None
    assert fastest.time_s.high < 0.9 * plan.time_s.high
    assert fastest.share_cut is not None
    assert 0 < fastest.share_cut <= 0.05
    assert any("cuts" in reason for reason in fastest.reasons)


def test_rows_that_are_cut_are_kept_whole_for_quality() -> None:
    lengths = (*([200] * 980), *([1500] * 20))
    plan = make(recipe("[train]\nseq_len = 512\n"), model(), report(1000, lengths=lengths), A100)
    best = way(plan, "best quality")
    assert best.changes == {"train.seq_len": 1536}
    assert best.share_cut == 0


def test_a_plan_that_cannot_fit_names_no_way_that_needs_more() -> None:
    plan = make(recipe(), SEVENTY, report(), RTX_4090)
    assert plan.fits == "wont_fit"
    assert all(way.fits != "wont_fit" or way.peak_bytes < plan.memory.peak_bytes for way in plan.alternatives)


CASES: list[tuple[str, Any, Any, Any]] = [
    ("", model(), report(), gpu_box(free_gib=12)),
    ("", model(), report(), gpu_box(free_gib=6)),
    ("", SEVENTY, LONG, RTX_4090),
    ('[method]\nname = "lora"\n', model(), report(), gpu_box(free_gib=12)),
    ('[method]\nname = "lora"\n[train]\nseq_len = 32768\n', model(), LONG, RTX_4090),
    ('[method]\nname = "full"\n', model(), LONG, RTX_4090),
    ("[train]\nseq_len = 8192\nmicro_batch = 32\noptimizer = 'adamw'\n", model(), report(), RTX_4090),
    ("", model(), report(tokenised=False), gpu_box(free_gib=6.7)),
    ('[method]\nname = "lora"\n', model(), report(), cpu_box()),
    ("", smollm2(), LONG, cpu_box(ram_gib=3)),
]


@pytest.mark.parametrize(("text", "facts", "data", "box"), CASES)
def test_changes_lead_to_what_was_announced(text: str, facts: Any, data: Any, box: Any) -> None:
    written = recipe(text)
    plan = make(written, facts, data, box)
    assert plan.relief or plan.fits == "safe" or facts is SEVENTY or plan.device == "cpu"
    for step in plan.relief:
        listed = catalogue.find(step.changes.get("model.id", ""))
        then = make(written.with_values(step.changes), listed.facts() if listed else facts, data, box)
        assert then.fits == "safe"
        assert then.memory.peak_bytes == step.peak_bytes
        assert plan.memory.peak_bytes - step.peak_bytes == step.saves_bytes
        assert step.words in plan.warnings
    for other in plan.alternatives:
        then = make(written.with_values(other.changes), facts, data, box)
        assert (then.memory.peak_bytes, then.fits, then.steps) == (other.peak_bytes, other.fits, other.steps)
        assert (then.method.name, then.train.seq_len) == (other.method, other.seq)
        assert other.reasons


def test_a_length_beyond_every_row_is_the_cheapest_step() -> None:
    written = recipe('[method]\nname = "lora"\n[train]\nseq_len = 16384\npacking = "off"\n')
    step = make(written, model(), report(), RTX_4090).relief[0]
    assert step.share_cut == 0
    assert "cuts no row" in step.words
    assert step.changes["train.seq_len"] < 2048


def test_a_cut_says_its_share_and_what_it_saves() -> None:
    written = recipe('[method]\nname = "lora"\n[train]\nseq_len = 32768\n')
    steps = make(written, model(), LONG, RTX_4090).relief
    cut = next(step for step in steps if step.share_cut)
    assert cut.share_cut is not None
    said = re.fullmatch(
        r"Set train.seq_len = (\d+) instead of 32768: cuts (\d\.\d) % of the rows, saves [\d.]+ GiB\.",
        cut.words,
    )
    assert said is not None
    assert int(said[1]) == cut.changes["train.seq_len"]
    assert float(said[2]) == round(100 * cut.share_cut, 1)


def test_a_smaller_model_is_one_that_can_be_named() -> None:
    steps = make(recipe(), SEVENTY, report(), RTX_4090).relief
    assert catalogue.find(steps[-1].changes["model.id"]) is not None


def test_a_larger_card_says_what_it_buys() -> None:
    small = make(recipe(), model(), report(), gpu_box(free_gib=12)).larger
    assert small is not None
    assert "LoRA instead of QLoRA" in small.words
    assert small.memory_bytes > 12 << 30
    assert small.plan.method == "lora"
    seventy = make(recipe(), SEVENTY, report(), RTX_4090).larger
    assert seventy is not None
    assert "it fits" in seventy.words
    assert seventy.plan.fits == "safe"
    gpu = make(recipe(), smollm2(), report(), cpu_box()).larger
    assert gpu is not None
    assert "less time" in gpu.words
    assert make(recipe(), smollm2(), report(), gpu_box("NVIDIA B200", 179, (10, 0))).larger is None


QUALITY = {"qlora": 0, "lora": 1, "full": 2}


def worth(plan: Plan) -> tuple[int, int, int, int]:
    """What more memory must not make worse: fit, rows kept whole, method, rank."""
    rows = LONG.lengths
    assert rows is not None
    fits = ORDER[plan.fits]
    if not fits:
        return (0, 0, 0, 0)
    return (fits, -rows.cut_at(plan.train.seq_len), QUALITY[plan.method.name], plan.method.rank)


@settings(max_examples=25)
@given(st.floats(3, 160), st.floats(3, 160), st.sampled_from([model(), SEVENTY, smollm2()]))
def test_more_memory_never_gives_a_worse_plan(some: float, other: float, facts: Any) -> None:
    less, more = sorted((some, other))
    small, large = (make(recipe(), facts, LONG, gpu_box(free_gib=gib)) for gib in (less, more))
    assert worth(large) >= worth(small)


def written(pins: dict[str, Any]) -> Recipe:
    return recipe().with_values(pins)


def test_packed_rows_give_way_before_an_answer_is_cut_or_the_method_changes() -> None:
    lengths = (*([150] * 500), *([600] * 120))
    plan = make(recipe(), model(), report(lengths=lengths), gpu_box(free_gib=7.4))
    assert plan.fits == "safe"
    assert not plan.train.packing
    why = next(reason.why for reason in plan.reasons if reason.key == "train.packing")
    assert why.startswith("packed rows need more memory than there is")


def test_half_the_rank_goes_before_another_method() -> None:
    rows = report(150_000, typical=100, answers="long", lengths=tuple([128] * 150_000))
    wanted = make(written({"method.name": "lora"}), model(), rows, A100)
    assert wanted.method.rank == 128
    tight = make(written({}), model(), rows, gpu_box(free_gib=20))
    assert (tight.method.name, tight.method.rank, tight.method.alpha) == ("lora", 64, 128)
    why = next(reason.why for reason in tight.reasons if reason.key == "method.rank")
    assert "128 would be better" in why
