"""A run of a tiny model whose adapter does something, made without torch and without training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load_file, save_file

from tests.sample_plan import make_plan
from tui_ft import recipe as recipes
from tui_ft.data.masks import encode
from tui_ft.data.rows import Message, Row
from tui_ft.models.tokenizer import ChatTokenizer
from tui_ft.planning.plan import MethodPlan, Plan
from tui_ft.runs import folder as folders
from tui_ft.runs.folder import RunFolder
from tui_ft.settings import Home

RANK, ALPHA = 4, 8
TICKETS = ("The invoice is wrong", "My account is locked", "The printer does not answer")


def make_run(
    home: Path, model: Path, *, settings: str = "", rows: int = 9, system: str = "", **plan: Any
) -> RunFolder:
    """A run of this model with test rows and a plan, but nothing trained. `settings` is recipe text."""
    text = f'name = "tiny"\n[model]\nid = "{model}"\n[data]\npath = "rows.jsonl"\n{settings}'
    folder = folders.create(
        Home(home), recipes.loads(text), tiny_plan(model, **plan), recipe_text=text, recipe_base=home
    )
    write_rows(folder.data / "test.parquet", model, tickets(rows, system))
    return folder


def tiny_plan(model: Path, **changes: Any) -> Plan:
    """LoRA in fp32 on the CPU."""
    plan = make_plan(
        model_id="owner/tiny",
        model_folder=str(model),
        method=MethodPlan("lora", "sft", RANK, ALPHA, 0.0, "all-linear", False),
    )
    return replace(plan, train=replace(plan.train, seq_len=256), **changes)


def tickets(number: int, system: str = "") -> list[Row]:
    """Rows whose answers are JSON."""
    before = [Message(role="system", content=system)] if system else []
    found = []
    for i in range(number):
        answer = json.dumps({"category": ("billing", "technical")[i % 2], "priority": "low"})
        turns = [
            *before,
            Message(role="user", content=f"{TICKETS[i % 3]}, {i}."),
            Message(role="assistant", content=answer),
        ]
        found.append(Row(f"row-{i}", "rows.jsonl", i + 1, tuple(turns)))
    return found


def write_rows(path: Path, model: Path, rows: Sequence[Row]) -> None:
    """Prepared rows as a training gets them."""
    tokenizer = ChatTokenizer.load(model)
    encoded = [encode(row, tokenizer) for row in rows]
    labels = [
        [token if learned else -100 for token, learned in zip(row.ids, row.trained, strict=True)]
        for row in encoded
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    table = {
        "row_id": [row.id for row in rows],
        "file": [row.file for row in rows],
        "line": [row.line for row in rows],
        "input_ids": [list(row.ids) for row in encoded],
        "labels": labels,
        "messages": [json.dumps(row.messages) for row in rows],
    }
    pq.write_table(pa.table(table), path)


def write_adapter(folder: Path, model: Path, *, strength: float = 0.1, seed: int = 1) -> Path:
    """A LoRA adapter on every linear module, as peft saves it. `strength` 0 makes one that does nothing."""
    random = np.random.default_rng(seed)
    weights = {}
    for name, weight in load_file(model / "model.safetensors").items():
        if not name.endswith("_proj.weight"):
            continue
        rows, columns = weight.shape
        module = f"base_model.model.{name.removesuffix('.weight')}"
        down = random.standard_normal((RANK, columns)) / RANK
        up = random.standard_normal((rows, RANK)) * strength
        weights[f"{module}.lora_A.weight"] = down.astype(np.float32)
        weights[f"{module}.lora_B.weight"] = up.astype(np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, str(folder / "adapter_model.safetensors"), metadata={"format": "pt"})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(model),
        "r": RANK,
        "lora_alpha": ALPHA,
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
        "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def run_module(module: str, *args: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Run a worker in the foreground, as `launch.start` would in the background."""
    return subprocess.run(
        [sys.executable, "-P", "-m", module, *args],
        env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
