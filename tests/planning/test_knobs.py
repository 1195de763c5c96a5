"""Knobs: every neighbour value with the effect that choosing it really has, in time to draw."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.planning.situations import BOXES, LLAMA_70B, RTX_4090, gpu_box, model, recipe, report, smollm2
from tui_ft.planning import search
from tui_ft.planning.box import of_hardware
from tui_ft.planning.case import Case
from tui_ft.planning.knobs import Knob, knobs
from tui_ft.planning.make import decide, make

SEVENTY = model(LLAMA_70B, 70_553_706_496)


def by_key(found: tuple[Knob, ...]) -> dict[str, Knob]:
    return {knob.key: knob for knob in found}


@pytest.mark.parametrize(("box", "facts"), [("RTX 4090", model()), ("T4", smollm2()), ("CPU", smollm2())])
def test_a_turn_does_what_it_says(box: str, facts: Any) -> None:
    data = report(200, spread=0.7)
    plan = make(recipe(), facts, data, BOXES[box])
    case = Case.of(of_hardware(BOXES[box]), facts, data)
    for knob in knobs(recipe(), facts, data, BOXES[box], plan):
        assert not knob.pinned
        assert sum(turn.current for turn in knob.turns) == 1
        assert knob.now.peak_bytes == plan.memory.peak_bytes
        assert knob.now.more_bytes == 0
        for turn in knob.turns:
            if turn.problem:
                continue
            then = decide(case, recipe().with_values(turn.changes) if not turn.current else recipe())
            assert (turn.fits, turn.peak_bytes) == (then.fits, then.memory.peak_bytes)
            assert (turn.epochs, turn.steps, turn.time_s) == (then.train.epochs, then.steps, then.time_s)


def test_knobs_show_both_directions_and_what_is_pinned() -> None:
    found = by_key(knobs(recipe("[method]\nrank = 32\n"), model(), report(), RTX_4090))
    rank = found["method.rank"]
    assert rank.pinned
    assert [turn.value for turn in rank.turns] == [16, 32, 64, 128]
    less, more = rank.beside(-1), rank.beside(1)
    assert less is not None
    assert more is not None
    assert less.more_bytes is not None
    assert more.more_bytes is not None
    assert less.more_bytes < 0 < more.more_bytes
    assert rank.beside(-2) is None
    assert not found["train.epochs"].pinned
    longer = found["train.epochs"].beside(1)
    assert longer is not None
    assert longer.steps is not None
    assert found["train.epochs"].now.steps is not None
    assert longer.steps > found["train.epochs"].now.steps


def test_a_length_tells_what_it_cuts() -> None:
    lengths = by_key(knobs(recipe(), model(), report(typical=2000, spread=0.9), RTX_4090))["train.seq_len"]
    cut = [turn.share_cut for turn in lengths.turns]
    assert cut == sorted(cut, key=lambda share: -(share or 0))
    assert lengths.turns[-1].share_cut == 0


def test_what_cannot_be_says_why() -> None:
    preference = recipe('[method]\nobjective = "dpo"\n')
    packing = by_key(knobs(preference, model(), report(shape="preference"), RTX_4090))["train.packing"]
    on = next(turn for turn in packing.turns if turn.value == "on")
    assert on.fits is None
    assert "exclude each other" in on.problem


def seconds(work: Any) -> float:
    """Least processor time of three tries, from a cold start."""
    spent = []
    for _ in range(3):
        search._memory.cache_clear()
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return min(spent)


@pytest.mark.parametrize("facts", [model(), SEVENTY])
def test_search_and_knobs_are_quick_enough_to_follow_a_key(facts: Any) -> None:
    data, box = report(typical=2000, spread=0.9), gpu_box(free_gib=12)
    plan = make(recipe(), facts, data, box)
    assert seconds(lambda: decide(Case.of(of_hardware(box), facts, data), recipe())) < 0.2
    assert seconds(lambda: make(recipe(), facts, data, box)) < 0.3
    assert seconds(lambda: knobs(recipe(), facts, data, box, plan)) < 0.2
