"""`tui-ft fit`: what fits, sane for well-known pairs and monotone in memory."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.planning.situations import LLAMA_8B, LLAMA_70B, QWEN_7B, SMOLLM2, model
from tui_ft.errors import InputError
from tui_ft.models.facts import Dims, ModelFacts
from tui_ft.planning.fit import FitTable, fit, fit_lines
from tui_ft.planning.plan import FitPlan
from tui_ft.text import GIB

LLAMA = model(LLAMA_8B)
SEVENTY = model(LLAMA_70B, 70_553_706_496)


def row(table: FitTable, method: str) -> FitPlan:
    return next(plan for plan in table.plans if plan.method == method)


@pytest.mark.parametrize(
    ("gib", "safe"),
    [
        (8, {"qlora"}),
        (16, {"qlora"}),
        (24, {"lora", "qlora"}),
        (40, {"lora", "qlora", "full"}),
        (80, {"lora", "qlora", "full"}),
    ],
)
def test_an_8b_model_on_common_sizes(gib: int, safe: set[str]) -> None:
    table = fit(LLAMA, gib * GIB)
    assert {plan.method for plan in table.plans if plan.fits == "safe"} == safe


def test_a_70b_model_needs_four_bits_on_48_and_80_gib() -> None:
    for gib in (48, 80):
        table = fit(SEVENTY, gib * GIB)
        assert [plan.method for plan in table.plans if plan.fits == "safe"] == ["qlora"]
    assert not fit(SEVENTY, 24 * GIB).any_fits


def test_a_card_by_name() -> None:
    table = fit(model(QWEN_7B, 7_615_616_512, model_type="qwen2", context=32_768), gpu="rtx 4090")
    assert table.gpu == "RTX 4090"
    assert row(table, "lora").fits == "safe"
    assert row(table, "full").fits == "wont_fit"


def test_an_old_card_computes_in_fp16() -> None:
    assert {plan.precision for plan in fit(model(SMOLLM2, None), gpu="T4").plans} == {"fp16"}


def test_longer_sequences_need_more() -> None:
    short, long = (row(fit(SEVENTY, 24 * GIB, seq=seq), "qlora") for seq in (512, 4096))
    assert short.peak_bytes < long.peak_bytes


def test_the_longest_sequence_is_the_longest() -> None:
    table = fit(LLAMA, 24 * GIB)
    longest = table.longest["lora"]
    assert row(fit(LLAMA, 24 * GIB, seq=longest), "lora").fits == "safe"
    assert row(fit(LLAMA, 24 * GIB, seq=longest + 64), "lora").fits != "safe"


def test_several_gpus_share_the_update_in_two_ways() -> None:
    one, four = fit(LLAMA, 24 * GIB), fit(LLAMA, 24 * GIB, gpus=4)
    assert [(plan.method, plan.strategy) for plan in four.plans] == [
        (method, strategy) for method in ("lora", "qlora", "full") for strategy in ("ddp", "fsdp")
    ]
    assert {plan.strategy for plan in one.plans} == {"single"}
    for plan in four.plans:
        assert plan.micro_batch * plan.grad_accum * 4 == 16
        assert any(plan.strategy.upper() in reason for reason in plan.reasons)
    assert row(one, "lora").micro_batch * row(one, "lora").grad_accum == 16
    assert any("one GPU today" in note for note in four.notes)


def test_shards_fit_where_copies_do_not() -> None:
    fits = {(plan.method, plan.strategy): plan.fits for plan in fit(SEVENTY, 24 * GIB, gpus=4).plans}
    assert fits["qlora", "ddp"] == "wont_fit"
    assert fits["qlora", "fsdp"] == "safe"
    assert fits["full", "fsdp"] == "wont_fit"


def test_json_has_what_the_contract_names() -> None:
    document = json.loads(json.dumps(fit(LLAMA, 24 * GIB).to_json()))
    wanted = {"method", "rank", "seq", "micro_batch", "grad_accum", "gradient_checkpointing"}
    wanted |= {"peak_bytes", "band", "fits", "reasons"}
    for plan in document["plans"]:
        assert wanted <= plan.keys()
        assert plan["reasons"]
        assert sum(plan["parts"].values()) == plan["peak_bytes"]


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        ({"vram_bytes": 0}, "--vram"),
        ({"vram_bytes": 10**16}, "--vram"),
        ({"gpu": "RTX 9999"}, "--gpu"),
        ({"vram_bytes": 24 * GIB, "seq": 1}, "--seq"),
        ({"vram_bytes": 24 * GIB, "gpus": 0}, "--gpus"),
        ({}, "fit"),
    ],
)
def test_arguments_that_make_no_sense(arguments: dict[str, Any], where: str) -> None:
    with pytest.raises(InputError) as raised:
        fit(LLAMA, **arguments)
    assert raised.value.problems[0].where == where
    assert raised.value.problems[0].fix


def test_the_table_as_text() -> None:
    lines = fit_lines(fit(LLAMA, gpu="RTX 4090"))
    assert lines[0] == "owner/model, 8.03B on RTX 4090, 24.0 GiB, sequences of 2,048 tokens"
    assert lines[2].split()[:2] == ["method", "verdict"]
    assert any(line.startswith("full") and "WON'T FIT" in line for line in lines)
    assert any(line.split()[:2] == ["qlora", "5.3"] for line in lines)


@pytest.mark.parametrize("gpus", [1, 8])
@pytest.mark.parametrize("facts", [LLAMA, SEVENTY, model(SMOLLM2, None, context=512)])
def test_no_line_is_wider_than_a_terminal(facts: ModelFacts, gpus: int) -> None:
    named = replace(facts, id="an-organisation-with-a-long-name/" + "a-model-with-a-longer-name" * 3)
    table = fit(named, gpu="RTX 6000 Ada", seq=131_072, gpus=gpus)
    table = replace(table, plans=tuple(replace(plan, verified=True) for plan in table.plans))
    assert max(map(len, fit_lines(table))) <= 80


FITS = {"wont_fit": 0, "tight": 1, "safe": 2}


COMMON = {
    "Llama-3.1-8B": (LLAMA, (8, 16, 24, 40, 80)),
    "Qwen2.5-7B": (model(QWEN_7B, 7_615_616_512, model_type="qwen2", context=32_768), (8, 16, 24, 40, 80)),
    "70B": (SEVENTY, (48, 80)),
}


@pytest.mark.parametrize("gpus", [1, 4])
@pytest.mark.parametrize("name", sorted(COMMON))
def test_well_known_models_gain_with_every_size(name: str, gpus: int) -> None:
    facts, sizes = COMMON[name]
    tables = [fit(facts, gib * GIB, gpus=gpus) for gib in sizes]
    for small, large in pairwise(tables):
        no_worse(small, large)
    assert any(plan.fits == "safe" for plan in tables[0].plans)


@settings(max_examples=20)
@given(
    st.sampled_from([LLAMA_8B, QWEN_7B, SMOLLM2, LLAMA_70B]),
    st.sampled_from([128, 1024, 4096]),
    st.floats(1, 200),
    st.floats(1, 200),
)
def test_more_memory_never_gives_a_worse_plan(dims: Dims, seq: int, some: float, other: float) -> None:
    less, more = sorted((some, other))
    small, large = (fit(model(dims, None), round(gib * GIB), seq=seq) for gib in (less, more))
    no_worse(small, large)


def no_worse(small: FitTable, large: FitTable) -> None:
    for before, after in zip(small.plans, large.plans, strict=True):
        assert FITS[after.fits] >= FITS[before.fits]
        assert (after.longest or 0) >= (before.longest or 0)
        if before.fits == after.fits == "safe":
            assert speed(after) >= speed(before)


def speed(plan: FitPlan) -> float:
    """Tokens at once, less what checkpointing and small optimizers cost; as the search ranks them."""
    tokens = plan.micro_batch * plan.seq
    cost = {"adamw": 1.0, "paged_adamw_32bit": 1.0, "adamw_8bit": 0.98, "paged_adamw_8bit": 0.85}
    return tokens / (tokens + 1024) * cost[plan.optimizer] * (0.75 if plan.gradient_checkpointing else 1)
