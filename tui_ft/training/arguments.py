"""A plan as trl's settings. Every default of trl that would surprise somebody is set here by name."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from trl import SFTConfig

from tui_ft.planning.plan import Plan, TrainPlan

_OPTIMIZERS = {
    "adamw": "adamw_torch_fused",
    "adamw_8bit": "adamw_bnb_8bit",
    "paged_adamw_8bit": "paged_adamw_8bit",
    "paged_adamw_32bit": "paged_adamw_32bit",
}

_WSD_DECAY = 0.2  # share of the steps over which a wsd schedule falls


def batches(plan: Plan) -> tuple[int, int]:
    """Sequences at once, and how often before each update.

    On the CPU a packed batch is computed one sequence at a time: trl lays a batch of packed sequences
    end to end, and attention without a variable-length kernel grows with the square of that.
    """
    train = plan.train
    if train.packing and plan.device == "cpu":
        return 1, train.micro_batch * train.grad_accum
    return train.micro_batch, train.grad_accum


def update_steps(sequences: int, plan: Plan, max_steps: int) -> int:
    """Optimizer steps of the whole run, counted as transformers' Trainer does."""
    if max_steps > 0:
        return max_steps
    micro, accum = batches(plan)
    per_epoch = max(1, math.ceil(math.ceil(sequences / (micro * plan.train.gpus)) / accum))
    return math.ceil(plan.train.epochs * per_epoch)


def warmup_steps(train: TrainPlan, planned: int, actual: int) -> int:
    """The plan's warm-up, kept at its share when packing changed the number of steps."""
    if planned <= 0 or actual == planned:
        return min(train.warmup_steps, actual)
    return min(round(train.warmup_steps / planned * actual), actual)


def _schedule(train: TrainPlan, steps: int) -> dict[str, Any]:
    """The name transformers has for the schedule, and what that one needs to know."""
    if train.schedule == "constant":
        return {"lr_scheduler_type": "constant_with_warmup" if train.warmup_steps else "constant"}
    if train.schedule == "wsd":
        decay = max(1, round(_WSD_DECAY * steps))
        return {"lr_scheduler_type": "warmup_stable_decay", "lr_scheduler_kwargs": {"num_decay_steps": decay}}
    return {"lr_scheduler_type": train.schedule}


def sft_config(plan: Plan, output: Path, *, sequences: int, max_steps: int) -> SFTConfig:
    """trl's settings for this plan. `sequences` counts training sequences after packing."""
    train = plan.train
    micro, accum = batches(plan)
    steps = update_steps(sequences, plan, max_steps)
    cuda = plan.device == "cuda"
    settings: dict[str, Any] = {
        "output_dir": str(output),
        "num_train_epochs": train.epochs,
        "max_steps": max_steps if max_steps > 0 else -1,
        "learning_rate": train.learning_rate,
        **_schedule(train, steps),
        "warmup_steps": warmup_steps(train, plan.steps, steps),
        "weight_decay": train.weight_decay,
        "max_grad_norm": train.max_grad_norm,
        "neftune_noise_alpha": train.neftune_alpha or None,
        "label_smoothing_factor": 0.0,
        "optim": _OPTIMIZERS[train.optimizer],
        "per_device_train_batch_size": micro,
        "per_device_eval_batch_size": micro,
        "gradient_accumulation_steps": accum,
        "gradient_checkpointing": train.gradient_checkpointing,
        "max_length": train.seq_len,
        "packing": train.packing,
        "packing_strategy": "bfd",
        "bf16": train.precision == "bf16",
        "fp16": train.precision == "fp16",
        "use_cpu": not cuda,
        # A token weighs the same wherever it is computed.
        "average_tokens_across_devices": True,
        "ddp_find_unused_parameters": False,
        "dataloader_pin_memory": cuda,
        "seed": train.seed,
        "data_seed": train.seed,
        # Rows come tokenised, cut and packed; trl takes input_ids and labels as they are.
        "dataset_kwargs": {"skip_prepare_dataset": True},
        # Evaluation and saving are asked for by our own callbacks; saving goes through a temporary folder.
        "eval_strategy": "no",
        "save_strategy": "no",
        "logging_strategy": "steps",
        "logging_steps": 1,
        # A NaN loss must be seen as NaN.
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "push_to_hub": False,
        "hub_token": None,
        "disable_tqdm": True,
        "remove_unused_columns": True,
        "trust_remote_code": False,
    }
    return SFTConfig(**settings)
