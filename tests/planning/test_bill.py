"""The figures of a plan: they are in it, in its JSON, and agree with each other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.planning.situations import A100, CPU, RTX_4090, T4, cpu_box, model, recipe, report, smollm2
from tui_ft.hardware.facts import Hardware, Mount
from tui_ft.planning.make import make
from tui_ft.planning.plan import Plan
from tui_ft.text import GIB

PRICED = recipe("[limits]\nprice_per_hour = 0.55\n")


def _plan(box: Hardware = RTX_4090, text: str = "") -> Plan:
    return make(recipe(text), model(), report(), box)


def _high(plan: Plan) -> float:
    assert plan.time_s is not None
    return plan.time_s.high


def test_parts_add_up_to_the_run() -> None:
    plan = make(PRICED, model(), report(), RTX_4090)
    costs = plan.costs
    assert costs is not None
    assert plan.time_s is not None
    assert costs.training.time_s is not None
    assert costs.evaluation.time_s is not None
    assert plan.time_s.high == pytest.approx(costs.training.time_s.high + costs.evaluation.time_s.high)
    assert costs.whole.money is not None
    assert plan.money is not None
    assert costs.whole.money.high > plan.money.high  # the final evaluation on top
    assert not costs.price.typical if costs.price else False


def test_without_a_price_money_is_typical_and_marked() -> None:
    plan = _plan()
    assert plan.money is None
    assert plan.costs is not None
    assert plan.costs.price is not None
    assert plan.costs.price.typical
    assert plan.costs.training.money is not None
    nothing = make(recipe(), smollm2(), report(), CPU).costs
    assert nothing is not None
    assert nothing.price is None
    assert nothing.training.money is None


def test_an_unknown_time_stays_unknown() -> None:
    costs = _plan(T4).costs
    assert costs is not None
    for part in (costs.training, costs.evaluation, costs.one_more_epoch, costs.final_evaluation, costs.whole):
        assert part.time_s is None
        assert part.money is None


def test_nothing_to_evaluate_costs_nothing() -> None:
    plan = make(recipe(), smollm2(), report(held_out=0), CPU)
    assert plan.costs is not None
    assert plan.costs.evaluation.time_s is not None
    assert plan.costs.evaluation.time_s.high == 0
    assert plan.costs.final_evaluation.time_s is None


def test_more_epochs_take_longer_and_more_cores_do_not() -> None:
    def seconds(box: Hardware, text: str = "") -> float:
        return _high(make(recipe(text), smollm2(), report(), box))

    assert seconds(CPU, "[train]\nepochs = 6\n") > seconds(CPU)
    assert seconds(cpu_box(cores=8)) < seconds(cpu_box(cores=2))


def test_an_epoch_costs_what_it_adds() -> None:
    three, four = (_plan(text=f"[train]\nepochs = {n}\neval_every = 20\n") for n in (3, 4))
    assert three.costs is not None
    assert three.costs.one_more_epoch.time_s is not None
    added = _high(four) - _high(three)
    assert added == pytest.approx(three.costs.one_more_epoch.time_s.high, rel=0.15)


def test_padding_is_paid_for() -> None:
    even = make(recipe(), model(), report(lengths=(512,) * 620), A100)
    uneven = make(
        recipe('[train]\npacking = "off"\nmicro_batch = 8\n'),
        model(),
        report(lengths=(32,) * 500 + (2048,) * 120),
        A100,
    )
    assert uneven.tokens / even.tokens < 1
    assert _high(uneven) > _high(even)


def test_json_holds_all_of_it_and_comes_back() -> None:
    plan = make(PRICED, model(), report(), RTX_4090)
    document = json.loads(json.dumps(plan.to_json(), allow_nan=False))
    assert {"needed_bytes", "free_bytes", "mounts"} <= document["disk"].keys()
    mount = document["disk"]["mounts"][0]
    assert mount["path"] == "/"
    assert mount["enough"] is True
    assert sum(mount["parts"].values()) == mount["needed_bytes"] == document["disk"]["needed_bytes"]
    assert {"training", "evaluation", "one_more_epoch", "final_evaluation", "whole"} <= document[
        "costs"
    ].keys()
    assert document["costs"]["price"]["typical"] is False
    assert {"provider", "low", "high", "as_of"} <= document["managed"][0].keys()
    assert Plan.from_json(document) == plan


def test_a_plan_of_before_has_no_costs() -> None:
    document = _plan().to_json()
    for key in ("costs", "managed"):
        del document[key]
    del document["disk"]["mounts"]
    old = Plan.from_json(document)
    assert old.costs is None
    assert old.managed == ()
    assert old.disks == ()


def test_only_answers_are_compared_with_managed_apis() -> None:
    assert _plan().managed
    text = make(
        recipe('[method]\nobjective = "cpt"\n'), smollm2(), report(shape="text", answers="none"), A100
    )
    assert text.managed == ()


def test_a_cache_without_room_is_warned_about() -> None:
    mounts = (
        Mount(Path("/data"), 900 * GIB, 500 * GIB, ("runs",)),
        Mount(Path("/cache"), 10 * GIB, 3 * GIB, ("model cache", "temporary files")),
    )
    box = replace(RTX_4090, host=replace(RTX_4090.host, mounts=mounts))
    plan = _plan(box)
    assert [need.path for need in plan.disks] == ["/data", "/cache"]
    assert plan.disk_free_bytes == 500 * GIB
    assert not plan.disks[1].enough
    (warning,) = [text for text in plan.warnings if "/cache" in text]
    assert "HF_HOME" in warning
    assert "/data has 500.0 GiB" in warning
