"""A recipe and a plan for tests that need a run but no model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tui_ft.planning.plan import UNDECIDED, MemoryEstimate, MethodPlan, Plan, Range, Reason

RECIPE = """\
# kept word for word
name = "Support-JSON"
[model]
id = "owner/name"
[data]
path = "/data/train.jsonl"
"""


def make_plan(**changes: Any) -> Plan:
    """A small plan for the CPU."""
    plan = Plan(
        name="support-json",
        model_id="owner/name",
        model_folder="/models/name",
        device="cpu",
        device_name="a processor",
        method=MethodPlan("lora", "sft", 8, 16, 0.05, "all-linear", False),
        train=replace(
            UNDECIDED,
            epochs=2.0,
            learning_rate=2e-4,
            warmup_steps=2,
            micro_batch=2,
            seq_len=64,
            gradient_checkpointing=False,
            precision="fp32",
            early_stopping=3,
            eval_every=10,
        ),
        rows_train=40,
        rows_validation=5,
        rows_test=5,
        steps=40,
        tokens=4000,
        memory=MemoryEstimate(1, 2, 3, 4, 5, 6, 7, 28, 0.1, "the backward pass", ("sdpa",)),
        memory_available_bytes=100,
        fits="safe",
        time_s=Range(10, 20),
        money=None,
        disk_bytes=10,
        disk_free_bytes=None,
        reasons=(Reason("method.rank", "8", "few rows"),),
    )
    return replace(plan, **changes)
