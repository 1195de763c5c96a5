"""What learning from preferences changes in a plan, and what it excludes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.planning.situations import A100, CPU, recipe, report, smollm2
from tui_ft.errors import InputError
from tui_ft.planning.conflicts import gpu_only
from tui_ft.planning.describe import plan_lines
from tui_ft.planning.make import make
from tui_ft.planning.plan import Plan

SHAPES = {"dpo": "preference", "orpo": "preference", "kto": "kto"}


def planned(objective: str, more: str = "", box: Any = A100) -> Plan:
    text = f'[method]\nobjective = "{objective}"\n{more}'
    return make(recipe(text), smollm2(), report(2000, shape=SHAPES.get(objective, "messages")), box)  # type: ignore[arg-type]


@pytest.mark.parametrize("objective", SHAPES)
@pytest.mark.parametrize("box", [A100, CPU], ids=["gpu", "cpu"])
def test_nothing_is_left_open(objective: str, box: Any) -> None:
    plan = planned(objective, box=box)
    method, train = plan.method, plan.train
    assert (method.beta, method.rank, method.dropout, train.learning_rate) == (0.1, 16, 0.0, 5e-6)
    assert not train.packing
    reasons = {reason.key: reason for reason in plan.reasons}
    assert reasons["method.beta"].why == f"usual for {objective}"
    assert ("method.good_weight" in reasons) == (objective == "kto")
    assert any(line.startswith("beta ") for line in plan_lines(plan))


def test_what_the_user_wrote_is_kept() -> None:
    plan = planned("kto", "beta = 0.25\nbad_weight = 1.5\n")
    assert (plan.method.beta, plan.method.good_weight, plan.method.bad_weight) == (0.25, None, 1.5)
    assert Plan.from_json(plan.to_json()) == plan


def test_answers_have_no_beta() -> None:
    plan = planned("sft")
    assert not any(line.startswith("beta ") for line in plan_lines(plan))
    warned = planned("sft", "beta = 0.2\ngood_weight = 2.0\n").warnings
    assert "method.beta: no effect with sft." in warned
    assert "method.good_weight: no effect with sft." in warned


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ("[train]\nneftune_alpha = 5.0\n", "train.neftune_alpha"),
        ('[train]\npacking = "on"\n', "train.packing"),
    ],
)
def test_what_preferences_exclude(more: str, where: str) -> None:
    with pytest.raises(InputError) as caught:
        planned("dpo", more)
    assert [problem.where for problem in caught.value.problems] == [where]


def test_paged_states_need_a_gpu() -> None:
    text = '[method]\nobjective = "sft"\n[train]\noptimizer = "paged_adamw_8bit"\n'
    (problem,) = gpu_only(recipe(text), "cpu")
    assert problem.what == "paged optimizers move states from a GPU to main memory, and there is no GPU"
    assert gpu_only(recipe(text), "cuda") == []
    assert planned("sft", '[train]\noptimizer = "paged_adamw_8bit"\n').train.optimizer == "paged_adamw_8bit"


def test_noise_and_length_grouping_reach_the_plan() -> None:
    plan = planned("sft", "[train]\nneftune_alpha = 5.0\ngroup_by_length = true\n")
    assert (plan.train.neftune_alpha, plan.train.group_by_length) == (5.0, True)
    assert {"train.neftune_alpha", "train.group_by_length"} <= {reason.key for reason in plan.reasons}
