"""The scripts that tui-ft's training is held against, each as short as people write them.

    python bench/plain_trl.py same|guide|newcomer MODEL ROWS.parquet PLAN.json OUT [--fp32]

`same` takes every setting from a plan of tui-ft and leaves the work to trl alone. `guide` is what guides
print: bf16, batches padded to their longest row, loss on every token. `newcomer` gives trl the model as a
string, which loads fp32, and leaves the rest to its defaults. Writes OUT/clock.json and the adapter.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer

Parts = tuple[Any, SFTConfig, LoraConfig, bool]


class Clock(TrainerCallback):  # type: ignore[misc]
    """Seconds from the beginning of the first step to the end of the last."""

    def __init__(self) -> None:
        self.began: float | None = None
        self.seconds = 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.began = self.began or time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.seconds = time.perf_counter() - (self.began or 0.0)


def adapter(**settings: Any) -> LoraConfig:
    return LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM", **settings)


def same(model: str, out: str, plan: dict[str, Any], fp32: bool) -> Parts:
    """tui-ft's settings, trl's work: the same rows, masks, batches, number format, adapter and schedule."""
    method, train = plan["method"], plan["train"]
    bf16 = train["precision"] == "bf16"
    config = SFTConfig(
        output_dir=out,
        num_train_epochs=train["epochs"],
        learning_rate=train["learning_rate"],
        lr_scheduler_type=train["schedule"],
        warmup_steps=train["warmup_steps"],
        per_device_train_batch_size=train["micro_batch"],
        gradient_accumulation_steps=train["grad_accum"],
        gradient_checkpointing=train["gradient_checkpointing"],
        max_length=train["seq_len"],
        bf16=bf16,
        use_cpu=True,
        seed=train["seed"],
        data_seed=train["seed"],
        save_strategy="no",
        report_to="none",
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    transformers.set_seed(train["seed"])
    weights = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16 if bf16 else torch.float32)
    return weights, config, adapter(lora_dropout=method["dropout"]), True


def guide(model: str, out: str, plan: dict[str, Any], fp32: bool) -> Parts:
    """A guide's script: 4 rows at once, 4 times before an update, cosine, LoRA's usual rate."""
    config = SFTConfig(
        output_dir=out,
        num_train_epochs=1,
        learning_rate=2e-4,
        lr_scheduler_type="cosine",  # without the usual warm-up, which would be all of so few steps
        per_device_train_batch_size=4,
        gradient_accumulation_steps=4,
        gradient_checkpointing=False,
        max_length=2048,
        bf16=not fp32,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
    )
    weights = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32 if fp32 else torch.bfloat16)
    return weights, config, adapter(lora_dropout=0.05), False


def newcomer(model: str, out: str, plan: dict[str, Any], fp32: bool) -> Parts:
    """trl's defaults. One pass, no save: neither changes the speed of a step.

    trl wants to be told that there is no GPU. It computes fp32 weights in bf16 then (autocast); `fp32`
    keeps it from that.
    """
    more = {"bf16": False} if fp32 else {}
    config = SFTConfig(
        output_dir=out, num_train_epochs=1, use_cpu=True, save_strategy="no", report_to="none", **more
    )
    return model, config, adapter(), False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("script", choices=("same", "guide", "newcomer"))
    parser.add_argument("model")
    parser.add_argument("rows")
    parser.add_argument("plan", type=Path)
    parser.add_argument("out")
    parser.add_argument("--fp32", action="store_true", help="for processors that have no bf16")
    args = parser.parse_args()
    plan = json.loads(args.plan.read_text())
    model, config, lora, masked = globals()[args.script](args.model, args.out, plan, args.fp32)
    rows = datasets.Dataset.from_parquet(args.rows, cache_dir=args.out).select_columns(
        ["input_ids", "labels"] if masked else ["input_ids"]
    )
    clock = Clock()
    trainer = SFTTrainer(
        model=model,
        args=config,
        train_dataset=rows,
        processing_class=AutoTokenizer.from_pretrained(args.model),
        peft_config=lora,
        callbacks=[clock],
    )
    trainer.train()
    trainer.model.save_pretrained(Path(args.out) / "adapter")
    seen = {
        "weights": str(next(p.dtype for p in trainer.model.parameters() if not p.requires_grad)),
        "rows_at_once": config.per_device_train_batch_size,
        "recomputes": config.gradient_checkpointing,
        "bf16": config.bf16,
    }
    found = {"seconds": clock.seconds, "steps": trainer.state.global_step, **seen}
    (Path(args.out) / "clock.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
