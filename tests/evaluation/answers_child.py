"""Measures what the tests of answers assert; run as a child process because it loads torch.

python answers_child.py RUN_DIR
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from tui_ft.evaluation import generate
from tui_ft.evaluation.loading import Models
from tui_ft.evaluation.rows import UnseenRow, read
from tui_ft.models.tokenizer import ChatTokenizer
from tui_ft.runs.folder import RunFolder

NEW = 12


def measure(folder: RunFolder) -> dict[str, Any]:
    """Batched answers and losses beside those of one row at a time, by transformers alone."""
    plan = folder.read_plan()
    tokenizer = ChatTokenizer.load(Path(plan.model_folder))
    rows = read(folder, tokenizer, seq_len=256, most=9).rows
    prompts = [row.prompt_ids or () for row in rows]
    settings: dict[str, Any] = {"stop_ids": tokenizer.stop_ids, "pad_id": 0, "max_new_tokens": NEW}
    alone = AutoModelForCausalLM.from_pretrained(plan.model_folder)
    models = Models(folder, plan, folder.read_recipe())
    seen: list[int] = []
    with models.use("tuned") as tuned:
        batched = generate.greedy(tuned, prompts, **settings, progress=seen.append)
        losses = generate.answer_loss(tuned, rows, pad_id=0)
        tuned_answers = [greedy_one(tuned, prompt, tokenizer) for prompt in prompts]
        tuned_losses = [loss_one(tuned, row) for row in rows]
    with models.use("base") as base:
        base_losses = generate.answer_loss(base, rows, pad_id=0)
    return {
        "batched": [answer.ids for answer in batched],
        "one_by_one": tuned_answers,
        "losses": losses,
        "losses_one_by_one": tuned_losses,
        "base_losses": base_losses,
        "base_losses_alone": [loss_one(alone, row) for row in rows],
        "progress": seen,
        "stop_first": stops(alone, prompts[0], tokenizer),
    }


def greedy_one(model: Any, prompt: tuple[int, ...], tokenizer: ChatTokenizer) -> list[int]:
    """One prompt, no padding."""
    config = GenerationConfig(do_sample=False, max_new_tokens=NEW, eos_token_id=2, pad_token_id=0)
    output = model.generate(input_ids=torch.tensor([prompt]), generation_config=config)
    ids: list[int] = output[0, len(prompt) :].tolist()
    return ids[: ids.index(2)] if 2 in ids else ids


def loss_one(model: Any, row: UnseenRow) -> float:
    """Transformers' own mean loss, times the tokens it is a mean of."""
    with torch.inference_mode():
        output = model(input_ids=torch.tensor([row.input_ids]), labels=torch.tensor([row.labels]))
    return float(output.loss) * row.answer_tokens


def stops(model: Any, prompt: tuple[int, ...], tokenizer: ChatTokenizer) -> dict[str, Any]:
    """The model's first token declared a stop token: the answer is empty and ended by itself."""
    first = greedy_one(model, prompt, tokenizer)[0]
    answer = generate.greedy(model, [prompt], stop_ids=[first], pad_id=0, max_new_tokens=NEW)[0]
    return {"ids": list(answer.ids), "stopped": answer.stopped}


if __name__ == "__main__":
    json.dump(measure(RunFolder(Path(sys.argv[1]))), sys.stdout)
