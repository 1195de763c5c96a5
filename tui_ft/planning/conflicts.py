"""What the user pinned that cannot be, or has no effect. Checked before anything is planned."""

from __future__ import annotations

from typing import Literal

from tui_ft.data.rows import DatasetReport
from tui_ft.errors import InputError, Problem
from tui_ft.models.facts import ModelFacts
from tui_ft.planning.box import Box
from tui_ft.recipe import Recipe
from tui_ft.text import count

FEW_ROWS = 50  # below this, examples in the prompt do better (fine-tuning guides)


def check(recipe: Recipe, model: ModelFacts, report: DatasetReport, box: Box) -> list[str]:
    """Warnings about what has no effect or is unwise. Raises InputError with all that is impossible."""
    problems = [*_data(recipe, report), *_several(recipe, box), *_model(recipe, model)]
    if problems:
        raise InputError(problems)
    elsewhere = [f"This box will not train it: {p.what}. {p.fix}" for p in gpu_only(recipe, box.device)]
    return [*elsewhere, *_without_effect(recipe, report), *_unwise(recipe, model, report, box)]


def _data(recipe: Recipe, report: DatasetReport) -> list[Problem]:
    objective, shape = recipe.method.objective, report.mapping.shape
    problems = []
    if report.sizes.train < 1:
        problems.append(
            Problem(
                "no row is left to train on",
                "[data]",
                f"{count(report.usable_rows, 'row')} can be used; hold out less for validation and test.",
            )
        )
    if objective in ("dpo", "orpo") and shape != "preference":
        problems.append(
            Problem(
                f"{objective} needs rows with a chosen and a rejected answer; these are {shape}",
                "method.objective",
                'Set it to "sft", or give preference rows.',
            )
        )
    if objective == "kto" and shape != "kto":
        problems.append(
            Problem(f"kto needs rows with a label; these are {shape}", "method.objective", 'Set it to "sft".')
        )
    if objective in ("dpo", "kto", "orpo") and recipe.train.packing == "on":
        problems.append(
            Problem(
                f'train.packing = "on" and method.objective = "{objective}" exclude each other',
                "train.packing",
                'Set it to "off" or leave it out: each pair of answers needs its own row.',
            )
        )
    return problems + _preference(recipe)


def _several(recipe: Recipe, box: Box) -> list[Problem]:
    """What training on several GPUs asks for."""
    gpus, strategy, problems = recipe.train.gpus, recipe.train.strategy, []
    if strategy == "fsdp":
        what = "training in shards (fsdp) is not built yet"
        problems.append(Problem(what, "train.strategy", 'Set it to "ddp", or leave it out.'))
    if gpus != "all" and box.device == "cuda" and gpus > box.alike:
        what = f"{count(gpus, 'GPU')} asked for; this box has {box.alike} like {box.name}"
        problems.append(Problem(what, "train.gpus", f"Set it to {box.alike} or less."))
    if together(gpus, box) == 1:
        return problems
    if recipe.method.objective in ("dpo", "kto", "orpo"):
        what = f"{recipe.method.objective} is trained on one GPU"
        problems.append(Problem(what, "train.gpus", "Leave it out."))
    if recipe.train.group_by_length:
        what = "rows are not grouped by length on several GPUs"
        problems.append(Problem(what, "train.group_by_length", "Leave it out."))
    return problems


def together(asked: int | Literal["all"], box: Box) -> int:
    """How many GPUs, or processes where there is none, are to train together on this box."""
    return box.alike if asked == "all" else asked


def _preference(recipe: Recipe) -> list[Problem]:
    """What learning from preferences excludes."""
    objective = recipe.method.objective
    if objective not in ("dpo", "kto", "orpo"):
        return []
    problems = []
    if recipe.train.neftune_alpha:
        what = f"noise on the inputs would blur what {objective} compares"
        problems.append(Problem(what, "train.neftune_alpha", "Set it to 0 or leave it out."))
    if recipe.data.mix:
        what = f"general data have no preferences, so {objective} cannot learn from them"
        problems.append(Problem(what, "data.mix", "Leave it out."))
    return problems


def gpu_only(recipe: Recipe, device: Literal["cuda", "cpu"]) -> list[Problem]:
    """Settings that a processor cannot train with. They can be planned: the recipe may be for another box."""
    if device == "cuda":
        return []
    problems = []
    if recipe.train.precision == "fp16":
        fix = 'Set it to "bf16" or "fp32", or leave it out.'
        problems.append(Problem("a processor cannot train in fp16", "train.precision", fix))
    if recipe.train.optimizer.startswith("paged"):
        what = "paged optimizers move states from a GPU to main memory, and there is no GPU"
        fix = 'Set it to "adamw" or "adamw_8bit", or leave it out.'
        problems.append(Problem(what, "train.optimizer", fix))
    return problems


def _model(recipe: Recipe, model: ModelFacts) -> list[Problem]:
    if model.quantized is None or recipe.method.name == "qlora":
        return []
    if model.quantized == "bitsandbytes" and recipe.method.name is None:
        return []
    fix = (
        'Set method.name to "qlora"'
        if model.quantized == "bitsandbytes"
        else "Choose the 16-bit weights instead"
    )
    method = recipe.method.name or "an adapter"
    return [
        Problem(
            f"weights stored in {model.quantized} cannot be trained with {method}", "method.name", f"{fix}."
        )
    ]


def _without_effect(recipe: Recipe, report: DatasetReport) -> list[str]:
    warnings = []
    if recipe.method.name == "full":
        idle = [
            k for k in ("rank", "alpha", "dropout", "targets", "rslora") if f"method.{k}" in recipe.pinned
        ]
        if idle:
            names = ", ".join(f"method.{key}" for key in idle)
            warnings.append(
                f"{names}: no effect with full training, which has no adapter. Remove it, or choose lora."
            )
    if (
        "train.loss_on" in recipe.pinned
        and recipe.train.loss_on == "answers"
        and report.mapping.shape == "text"
    ):
        warnings.append("train.loss_on: plain text has no answers to tell apart; every token is learned.")
    warnings += _without_preference(recipe)
    if recipe.train.group_by_length and recipe.train.packing == "on":
        warnings.append("train.group_by_length: packed sequences are all of one length.")
    if (
        "train.early_stopping" in recipe.pinned
        and recipe.train.early_stopping
        and not report.sizes.validation
    ):
        warnings.append("train.early_stopping: no effect without validation rows.")
    return warnings


def _without_preference(recipe: Recipe) -> list[str]:
    """Keys that only some objectives read."""
    read_by = {"beta": ("dpo", "kto", "orpo"), "good_weight": ("kto",), "bad_weight": ("kto",)}
    objective = recipe.method.objective
    warnings = [
        f"method.{key}: no effect with {objective}."
        for key, objectives in read_by.items()
        if f"method.{key}" in recipe.pinned and objective not in objectives
    ]
    if objective in ("dpo", "kto") and recipe.train.loss_on == "all":
        warnings.append(f"train.loss_on: no effect with {objective}, which compares answers.")
    return warnings


def _unwise(recipe: Recipe, model: ModelFacts, report: DatasetReport, box: Box) -> list[str]:
    warnings = []
    if report.sizes.train < FEW_ROWS:
        warnings.append(
            f"{count(report.sizes.train, 'row')} to train on: below {FEW_ROWS}, "
            "examples in the prompt usually do better."
        )
    length, context = recipe.train.seq_len, model.context_length
    if length and context and length > context:
        warnings.append(
            f"train.seq_len: {length:,} is more than the {context:,} tokens this model was made for."
        )
    if recipe.train.precision == "bf16" and not box.bf16:
        warnings.append(f"train.precision: {box.name} has no fast bf16; leave it out for a faster run.")
    alpha, rank = recipe.method.alpha, recipe.method.rank
    if alpha and rank and not rank / 2 <= alpha <= 4 * rank:
        warnings.append(f"method.alpha: {alpha} at rank {rank} is unusual; {2 * rank} is twice the rank.")
    return warnings
