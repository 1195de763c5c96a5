"""The model of a run on fake tensors: transformers, bitsandbytes and peft build it as they would for real."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from torch._subclasses.fake_tensor import unset_fake_temporarily
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig
from transformers.initialization import no_init_weights

from tui_ft.errors import InputError
from tui_ft.planning.activations import numbers
from tui_ft.planning.plan import MethodPlan, TrainPlan
from tui_ft.planning.tracing.ledger import Ledger
from tui_ft.text import excerpt

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
_BY_BYTES = {2: torch.bfloat16, 4: torch.float32}


def read_config(values: Mapping[str, Any]) -> PretrainedConfig:
    """transformers' config of a config.json. Raises InputError for an architecture it does not know."""
    # A checkpoint's own quantisation does not count: the run loads it as its method says.
    rest = {key: value for key, value in values.items() if key != "quantization_config"}
    try:
        return AutoConfig.for_model(**rest)
    except Exception as error:  # each config class raises what it likes about its values
        raise InputError(
            f"transformers cannot make a config of this: {excerpt(str(error), 200)}",
            where="config.json",
            fix="Check model_type and the sizes; a newer transformers may know the architecture.",
        ) from error


def build(config: PretrainedConfig, method: MethodPlan, train: TrainPlan, ledger: Ledger) -> nn.Module:
    """The model as it is trained, with adapters, in the number formats of the worker.

    Raises InputError when transformers or peft cannot build it.
    """
    formats = numbers(method.name, train.precision)
    dtype = torch.float32 if formats.weights == 4 else DTYPES[train.precision]
    try:
        with no_init_weights():
            base = AutoModelForCausalLM.from_config(config, dtype=dtype)
        base.tie_weights()
        base.config.use_cache = False
        if method.name == "qlora":
            _quantise(base, DTYPES[train.precision])
    except Exception as error:  # whatever a modelling file raises about its config
        raise InputError(
            f"transformers cannot build this model: {type(error).__name__}: {excerpt(str(error), 200)}",
            where="config.json",
            fix="Check that config.json is complete and of a language model.",
        ) from error
    ledger.part = "adapters"
    if method.name == "full":
        base.requires_grad_(True)
        return base
    return _with_adapters(base, method, _BY_BYTES[formats.trained])


def _quantise(base: Any, compute: torch.dtype) -> None:
    """Replace linear modules as transformers does for 4-bit loading, with double quantisation."""
    from transformers import BitsAndBytesConfig
    from transformers.integrations.bitsandbytes import replace_with_bnb_linear
    from transformers.quantizers.base import get_keys_to_not_convert

    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
    )
    biases = {name: module.bias for name, module in base.named_modules() if isinstance(module, nn.Linear)}
    # bitsandbytes' own kind of parameter cannot be made of fake tensors, and is replaced right after.
    with unset_fake_temporarily():
        replace_with_bnb_linear(base, get_keys_to_not_convert(base), settings)
    for name, module in base.named_modules():
        if type(module).__name__ == "Linear4bit":
            module.weight = _packed(module, compute)
            module.bias = biases[name]
    base.is_loaded_in_4bit = True
    base.is_quantized = True


def _packed(module: Any, compute: torch.dtype) -> nn.Parameter:
    """A nf4 weight with its quantisation state, as `Params4bit` holds it on a GPU."""
    import bitsandbytes.functional

    state: Any = bitsandbytes.functional.QuantState

    shape = torch.Size((module.out_features, module.in_features))
    blocks = -(-shape.numel() // 64)
    weight: Any = nn.Parameter(torch.empty(-(-shape.numel() // 2), 1, dtype=torch.uint8), requires_grad=False)
    weight.compress_statistics, weight.quant_type = True, "nf4"
    nested = state(
        absmax=torch.empty(-(-blocks // 256)), code=torch.empty(256), blocksize=256, dtype=torch.float32
    )
    weight.quant_state = state(
        absmax=torch.empty(blocks, dtype=torch.uint8),
        shape=shape,
        code=torch.empty(16),
        blocksize=64,
        quant_type="nf4",
        dtype=compute,
        offset=torch.empty(()),
        state2=nested,
    )
    return cast(nn.Parameter, weight)


def _with_adapters(base: Any, method: MethodPlan, dtype: torch.dtype) -> nn.Module:
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
    try:
        with _made_in(dtype):
            model: nn.Module = get_peft_model(base, config, autocast_adapter_dtype=False)
    except ValueError as error:
        raise InputError(
            f"peft cannot add adapters: {excerpt(str(error), 200)}",
            where="method.targets",
            fix='"all-linear" takes every linear module.',
        ) from error
    return model


@contextmanager
def _made_in(dtype: torch.dtype) -> Iterator[None]:
    """Let peft make its weights in `dtype` where they are: fake tensors cannot be cast or moved in place."""
    default, to = torch.get_default_dtype(), nn.Module.to
    move = BaseTunerLayer._move_adapter_to_device_of_base_layer
    torch.set_default_dtype(dtype)
    nn.Module.to = lambda self, *_, **__: self
    BaseTunerLayer._move_adapter_to_device_of_base_layer = lambda self, *_, **__: None
    try:
        yield
    finally:
        torch.set_default_dtype(default)
        nn.Module.to = to
        BaseTunerLayer._move_adapter_to_device_of_base_layer = move
