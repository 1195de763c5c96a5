"""The model as it will be trained: weights in the right number format, adapters where they belong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedTokenizerFast

from tui_ft.errors import InputError
from tui_ft.planning.activations import numbers
from tui_ft.planning.plan import MethodPlan, Plan
from tui_ft.recipe import Model
from tui_ft.text import nearest

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
        "device_map": {"": 0 if plan.device == "cuda" else "cpu"},
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


def add_adapters(base: Any, method: MethodPlan) -> tuple[Any, Adapters]:
    """The model with trainable adapters, or as it is when every weight is trained.

    Raises InputError when a name in `method.targets` matches no linear module of this model.
    """
    if method.name == "full":
        for parameter in base.parameters():
            parameter.requires_grad_(True)
        return base, _count(base, {})
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
    names = (
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, BaseTunerLayer)
    )
    return model, _count(model, dict(Counter(names)))


def _count(model: Any, matches: dict[str, int]) -> Adapters:
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    # A 4-bit weight counts for what it stands for; bitsandbytes stores two values in a byte.
    total = sum(
        2 * parameter.numel() if type(parameter).__name__ == "Params4bit" else parameter.numel()
        for parameter in model.parameters()
    )
    return Adapters(matches, trainable, total)


def _check_targets(base: Any, targets: Sequence[str]) -> None:
    linear = {name for name, module in base.named_modules() if isinstance(module, torch.nn.Linear)}
    short = sorted({name.rpartition(".")[2] for name in linear})
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in linear):
            close = nearest(target, short) or short
            raise InputError(
                f"the model has no module called {target!r}",
                where="method.targets",
                fix=f'Did you mean {", ".join(close)}? "all-linear" takes all of them.',
            )
