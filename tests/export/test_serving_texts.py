"""Command lines for vLLM, and the card of a merged model."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tuned_run import tiny_plan, write_adapter
from tui_ft.evaluation.metrics import Choice
from tui_ft.evaluation.report import Answer, Compared, Setting, build
from tui_ft.export import vllm
from tui_ft.export.card import card
from tui_ft.export.check import Check, Measure
from tui_ft.planning.plan import Plan


@pytest.fixture
def plan(tiny: Path) -> Plan:
    return tiny_plan(tiny)


@pytest.fixture
def adapter(tmp_path: Path, tiny: Path) -> Path:
    return write_adapter(tmp_path / "my adapter", tiny)


def words(command: str | None) -> list[str]:
    assert command is not None
    return shlex.split(command.replace("\\\n", ""))


def test_the_merged_model_is_served_from_its_folder(plan: Plan) -> None:
    command = words(vllm.serve_merged(Path("/runs/a b/merged"), "tickets", plan, 2048))
    assert command == [
        *("vllm", "serve", "/runs/a b/merged", "--served-model-name", "tickets", "--max-model-len", "2048")
    ]


@pytest.mark.parametrize(("rank", "allowed"), [(4, 8), (8, 8), (9, 16), (64, 64), (300, 320), (512, 512)])
def test_the_rank_is_one_that_vllm_takes(plan: Plan, adapter: Path, rank: int, allowed: int) -> None:
    command = words(
        vllm.serve_adapter(adapter, "t", replace(plan, method=replace(plan.method, rank=rank)), None)
    )
    assert command[command.index("--max-lora-rank") + 1] == str(allowed)
    assert command[command.index("--lora-modules") + 1] == f"t={adapter}"


@pytest.mark.parametrize(
    ("change", "config", "why"),
    [
        ({"name": "dora"}, {}, "DoRA"),
        ({"name": "full", "rank": 0}, {}, "no adapter"),
        ({"rank": 600}, {}, "up to 512"),
        ({}, {"modules_to_save": ["lm_head"]}, "modules_to_save"),
    ],
)
def test_what_vllm_cannot_serve_is_said(
    plan: Plan, adapter: Path, change: dict[str, object], config: dict[str, object], why: str
) -> None:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    changed = replace(plan, method=replace(plan.method, **change))  # type: ignore[arg-type]
    assert vllm.serve_adapter(adapter, "t", changed, None) is None
    assert why in vllm.readme(Path("/m"), adapter, "t", changed, None)


def test_old_cards_get_half_precision(plan: Plan) -> None:
    old = replace(plan, train=replace(plan.train, precision="fp16"))
    assert "half" in words(vllm.serve_merged(Path("/m"), "t", old, None))
    assert "--dtype" not in words(vllm.serve_merged(Path("/m"), "t", plan, None))


def test_the_card(plan: Plan) -> None:
    check = Check("merged", "s", (Measure("KL", 0.001, "at most", 0.02, "", ""),), {})
    text = card("tickets", plan, None, None, check)
    assert "license:" not in text
    assert "does not name" in text
    assert "Not evaluated yet" in text
    assert "KL 0.001" in text
    rows = [
        Compared(f"r{i}", "f", i, "q", "yes", 1, Answer("no", 1, True, None), Answer("yes", 1, True, None))
        for i in range(30)
    ]
    report = build(
        rows,
        Choice("label", ("exact_match",), "exact_match", ""),
        Setting("test", 30, 8, "fp32", "cpu"),
        seconds={},
    )
    text = card("tickets", plan, "apache-2.0", report, check)
    assert "license: apache-2.0" in text
    assert "| exactly right | 0 % | 100 % |" in text
