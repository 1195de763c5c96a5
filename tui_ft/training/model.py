"""The model as it will be trained: weights in the right number format, adapters where they belong."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedTokenizerFast
from trl.trainer.utils import disable_dropout_in_model

from tui_ft.errors import InputError, Problem
from tui_ft.planning.activations import numbers
from tui_ft.planning.plan import MethodPlan, Plan
from tui_ft.recipe import Model
from tui_ft.runs.folder import RunFolder
from tui_ft.text import nearest
from tui_ft.training import start

_EXPERTS = "holds all experts in one block, which is no linear layer"
_REACHED = 'Set it to "all-linear": that gives experts an adapter as well, where this architecture is known.'
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


@dataclass(frozen=True, slots=True)
class Adapters:
    """Which modules were given an adapter: module name → how many, and the trained share."""

    matches: dict[str, int]
    trainable: int
    total: int


def load_tokenizer(plan: Plan, model: Model) -> Any:
    """The tokenizer the model came with."""
    # AutoTokenizer rebuilds classes such as GPT2Tokenizer from their vocabulary and drops how
    # tokenizer.json splits text; this class takes the file as it is, like ChatTokenizer does.
    return PreTrainedTokenizerFast.from_pretrained(
        plan.model_folder or model.id, revision=model.revision or None
    )


def load_base(plan: Plan, model: Model) -> Any:
    """The base model on its device, in the number formats the plan counted with; 4-bit for QLoRA."""
    compute = _DTYPES[plan.train.precision]
    settings: dict[str, Any] = {
        "revision": model.revision or None,
        "trust_remote_code": model.trust_remote_code,
        "use_safetensors": True,
        # Without a dtype some loaders take fp32, which doubles the memory.
        "dtype": torch.float32 if numbers(plan.method.name, plan.train.precision).weights == 4 else compute,
        "device_map": {"": int(os.environ.get("LOCAL_RANK", 0)) if plan.device == "cuda" else "cpu"},
    }
    if plan.method.name == "qlora":
        settings["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=compute,
        )
    base = AutoModelForCausalLM.from_pretrained(plan.model_folder or model.id, **settings)
    base.config.use_cache = False
    return base


def add_adapters(base: Any, method: MethodPlan, begin: Path | None = None) -> tuple[Any, Adapters]:
    """The model with trainable adapters, or as it is when every weight is trained.

    `begin` is the folder of an adapter to go on from. Raises InputError when it does not fit, or when a name
    in `method.targets` matches no linear module of this model.
    """
    if method.name == "full":
        for parameter in base.parameters():
            parameter.requires_grad_(True)
        return base, _count(base, {})
    if begin is not None:
        model = start.load(base, begin, method)
        return model, _count(model, _matches(model))
    if not isinstance(method.targets, str):
        _check_targets(base, method.targets)
    config = LoraConfig(
        r=method.rank,
        lora_alpha=method.alpha,
        lora_dropout=method.dropout,
        target_modules=method.targets if isinstance(method.targets, str) else list(method.targets),
        use_rslora=method.rslora,
        use_dora=method.name == "dora",
        bias="none",
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(base, config)
    return model, _count(model, _matches(model))


def load_trainable(plan: Plan, model: Model, run: RunFolder) -> tuple[Any, Adapters]:
    """The model of a run as its training begins, and what of it is trained. Raises like its parts."""
    base = load_base(plan, model)
    if plan.method.preference:
        disable_dropout_in_model(base)  # answers are compared with a reference that drops nothing
    source = plan.method.continue_from
    return add_adapters(base, plan.method, start.fetch(run, Path(source)) if source else None)


def _matches(model: Any) -> dict[str, int]:
    """How many modules of each name have an adapter; experts in one block are named by their parameter."""
    names = (
        ".".join([part for part in name.split(".") if part != "base_layer"][-1:] + _parameter(module))
        for name, module in model.named_modules()
        if isinstance(module, BaseTunerLayer)
    )
    return dict(Counter(names))


def _parameter(module: Any) -> list[str]:
    name = getattr(module, "parameter_name", None)
    return [name] if name else []


def _count(model: Any, matches: dict[str, int]) -> Adapters:
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    # A 4-bit weight counts for what it stands for; bitsandbytes stores two values in a byte.
    total = sum(
        2 * parameter.numel() if type(parameter).__name__ == "Params4bit" else parameter.numel()
        for parameter in model.parameters()
    )
    return Adapters(matches, trainable, total)


def _check_targets(base: Any, targets: Sequence[str]) -> None:
    """Raises InputError with every name that matches nothing, or something that cannot have an adapter."""
    modules = dict(base.named_modules())
    blocks = {name.rpartition(".")[2] for name, weight in base.named_parameters() if weight.dim() == 3}
    linear = {name for name, module in modules.items() if isinstance(module, torch.nn.Linear)}
    short = sorted({name.rpartition(".")[2] for name in linear} - {"lm_head"})
    problems = []
    for target in targets:
        matched = [name for name in modules if name == target or name.endswith(f".{target}")]
        if any(name not in linear or modules[name] is base.get_output_embeddings() for name in matched):
            what, fix = _no_place(base, target, modules[matched[0]]), f"Choose among {', '.join(short)}."
            if what.endswith(_EXPERTS):
                fix = _REACHED
        elif matched:
            continue
        elif target in blocks:
            what, fix = f"{target} {_EXPERTS}", _REACHED
        else:
            what = f"the model has no module called {target!r}"
            fix = (
                f'Did you mean {", ".join(nearest(target, short) or short)}? "all-linear" takes all of them.'
            )
        problems.append(Problem(what, "method.targets", fix))
    if problems:
        raise InputError(problems)


def _no_place(base: Any, target: str, module: Any) -> str:
    """Why this kind of module gets no adapter."""
    if module is base.get_output_embeddings():
        return (
            f"{target} turns states into words and is computed in one piece with the loss: no adapter there"
        )
    if isinstance(module, torch.nn.Embedding):
        return f"{target} holds the words themselves; an adapter would store them all again"
    kind = type(module).__name__
    if any(parameter.dim() == 3 for parameter in module.parameters(recurse=False)):
        return f"{target} ({kind}) {_EXPERTS}"
    return f"{target} ({kind}) is no linear layer"
