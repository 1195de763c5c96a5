"""Traces of the reference oracle and published measurements, as the tests and `bench/memory.py` read them.

`traced_peaks.jsonl`: peaks in bytes that torch allocates, from a reference implementation that counts every
storage of two steps of the real transformers and peft models on fake tensors. It was written before, and
apart from, `tui_ft.planning.tracing`. It counts no states of paged optimizers, though bitsandbytes keeps
those of small tensors on the GPU, so these rows are compared without states. Sets "tuned" and "unseen"
broadcast the mask of padded rows over the batch; set "random" passes the batch's real mask.

`published_peaks.jsonl`: figures that others measured on real GPUs, each with its source.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from tui_ft.models.facts import Dims
from tui_ft.planning.memory import estimate
from tui_ft.planning.plan import UNDECIDED, MemoryEstimate, MethodPlan, TrainPlan

_HERE = Path(__file__).parent


def read(name: str) -> list[dict[str, Any]]:
    """The rows of a file beside this one."""
    return [json.loads(line) for line in (_HERE / name).read_text(encoding="utf-8").splitlines()]


TRACES = read("traced_peaks.jsonl")
PUBLISHED = read("published_peaks.jsonl")


def method_of(row: dict[str, Any]) -> MethodPlan:
    """The [method] of a row."""
    name, rank = row["method"], row["rank"]
    targets = row.get("targets", "all-linear")
    return MethodPlan(
        name,
        "sft",
        0 if name == "full" else rank,
        2 * rank,
        0.0,
        targets if isinstance(targets, str) else tuple(targets),
        rslora=False,
    )


def train_of(row: dict[str, Any]) -> TrainPlan:
    """The [train] of a row."""
    return replace(
        UNDECIDED,
        seq_len=row["seq"],
        micro_batch=row["micro_batch"],
        packing=row.get("packing", False),
        gradient_checkpointing=row["checkpointing"],
        optimizer=row["optimizer"],
        precision=row.get("precision", "bf16"),
    )


def config_of(row: dict[str, Any]) -> dict[str, Any]:
    """A config.json with the sizes of a row."""
    kind = row["model_type"]
    layers, hidden, middle, heads, kv_heads, head_dim, vocab, tied, experts, visited = row["dims"]
    config: dict[str, Any] = {
        "model_type": kind,
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "intermediate_size": middle,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": vocab,
        "tie_word_embeddings": tied,
        "max_position_embeddings": 131_072,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    if kind not in ("qwen2", "phi3"):
        config["head_dim"] = head_dim
    if kind == "mistral":
        config["sliding_window"] = None
    if kind == "mixtral":
        config |= {"num_local_experts": experts, "num_experts_per_tok": visited}
    elif experts:
        config |= {"num_experts": experts, "num_experts_per_tok": visited, "moe_intermediate_size": middle}
    return config


def formula(row: dict[str, Any]) -> MemoryEstimate:
    """What the instant formula says of a row."""
    return estimate(
        Dims(*row["dims"]),
        row.get("parameters"),
        method_of(row),
        train_of(row),
        device="cuda",
        model_type=row["model_type"],
    )


def error(row: dict[str, Any], memory: MemoryEstimate) -> float:
    """Relative error of an estimate against a trace."""
    peak: int = row["peak"]
    states = memory.optimizer if row["optimizer"].startswith("paged") else 0
    return (memory.allocated_bytes - states) / peak - 1
