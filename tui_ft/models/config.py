"""config.json in our terms: the sizes, the number of parameters, what is special about the model.

A config leaves out what equals its architecture's default, so the defaults decide too (whether the head
is tied, for one). They and the list of architectures that transformers knows are kept in
`architectures.toml`, made from the transformers version named in it; a test compares both.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from tui_ft.errors import InputError, Problem
from tui_ft.models.facts import Dims
from tui_ft.text import excerpt

JsonObject = Mapping[str, Any]

# Names that other architectures give to the same sizes, most usual first.
_NAMES = {
    "num_hidden_layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "hidden_size": ("hidden_size", "n_embd", "d_model"),
    "intermediate_size": ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size"),
    "num_attention_heads": ("num_attention_heads", "n_head", "n_heads"),
    "num_key_value_heads": ("num_key_value_heads", "num_kv_heads"),
    "vocab_size": ("vocab_size",),
    "num_experts": ("num_experts", "num_local_experts", "n_routed_experts"),
    "num_experts_per_tok": ("num_experts_per_tok", "moe_top_k"),
    "max_position_embeddings": (
        "max_position_embeddings",
        "n_positions",
        "max_seq_len",
        "seq_length",
        "n_ctx",
    ),
}
_NEEDED = ("num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size")
# Class names of models made for something other than writing text.
_OTHER_KIND = re.compile(
    r"For(MaskedLM|PreTraining|\w*Classification|QuestionAnswering|CTC)$|(?<!LMHead)Model$"
)


@dataclass(frozen=True, slots=True)
class _Layer:
    """What a decoder layer has besides the seven matrices: biases and norms, as counts of `hidden`."""

    norms: int = 2
    qkv_bias: bool = False  # always there; otherwise the config's attention_bias decides, for o as well
    head_norm: bool = False  # q and k are normed per head
    full_norm: bool = False  # q and k are normed over their whole width
    sliding_needs_flag: bool = False  # the window counts only with use_sliding_window


_LAYERS = {
    "llama": _Layer(),
    "mistral": _Layer(),
    "mixtral": _Layer(),
    "granite": _Layer(),
    "phi3": _Layer(),
    "smollm3": _Layer(sliding_needs_flag=True),
    "qwen2": _Layer(qkv_bias=True, sliding_needs_flag=True),
    "qwen3": _Layer(head_norm=True, sliding_needs_flag=True),
    "qwen3_moe": _Layer(head_norm=True, sliding_needs_flag=True),
    "gemma": _Layer(),
    "gemma2": _Layer(norms=4),
    "gemma3_text": _Layer(norms=4, head_norm=True),
    "olmo2": _Layer(full_norm=True),
}
KNOWN = tuple(_LAYERS)


def text_part(config: JsonObject) -> JsonObject:
    """The config of the language model; multimodal models keep it in `text_config`."""
    inner = config.get("text_config")
    if not isinstance(inner, Mapping):
        return config
    return {"model_type": f"{model_type(config)}_text", **inner}


def dims(config: JsonObject) -> Dims | None:
    """The sizes, or None when the config doesn't give them under any name we know.

    For an architecture outside KNOWN they are read by name only and marked approximate. Raises
    InputError that lists every value of a known architecture that isn't a sensible number.
    """
    values = _with_defaults(text_part(config))
    known = model_type(values) in _LAYERS
    problems = _wrong_values(values)
    if problems and known:
        raise InputError(problems)
    if problems or any(_int(values, key) is None for key in _NEEDED):
        return None
    layers, hidden, heads, vocab = (_int(values, key) or 0 for key in _NEEDED)
    experts = _int(values, "num_experts") or 0
    expert_width = values.get("moe_intermediate_size") if experts else None
    return Dims(
        layers=layers,
        hidden=hidden,
        intermediate=expert_width or _int(values, "intermediate_size") or 4 * hidden,
        heads=heads,
        kv_heads=_int(values, "num_key_value_heads") or heads,
        head_dim=values.get("head_dim") or hidden // heads,
        vocab=vocab,
        tied=bool(values.get("tie_word_embeddings", False)),
        experts=experts,
        experts_per_token=(_int(values, "num_experts_per_tok") or 0) if experts else 0,
        sliding_window=_sliding_window(values),
        approximate=not known,
    )


def count_parameters(config: JsonObject) -> int | None:
    """Number of parameters of the language model by its sizes; None for an architecture outside KNOWN.

    The sums are those of the modules in transformers' modeling files; a test counts real models.
    """
    values = _with_defaults(text_part(config))
    layer = _LAYERS.get(model_type(values))
    size = dims(config)
    if layer is None or size is None:
        return None
    attention = 2 * size.hidden * (size.q_size + size.kv_size)
    if layer.qkv_bias:
        attention += size.q_size + 2 * size.kv_size
    elif _honours(values, "attention_bias"):
        attention += size.q_size + 2 * size.kv_size + size.hidden
    norms = layer.norms * size.hidden
    if layer.head_norm:
        norms += 2 * size.head_dim
    if layer.full_norm:
        norms += size.q_size + size.kv_size
    embeddings = size.vocab * size.hidden * (1 if size.tied else 2)
    return embeddings + size.layers * (attention + norms) + _feed_forward(values, size) + size.hidden


def _feed_forward(values: JsonObject, size: Dims) -> int:
    """Parameters of the feed-forward parts of all layers together."""
    if not size.experts:
        bias = 2 * size.intermediate + size.hidden if _honours(values, "mlp_bias") else 0
        return size.layers * (3 * size.hidden * size.intermediate + bias)
    dense_width = _int(values, "intermediate_size") or 0
    step = values.get("decoder_sparse_step") or 1
    dense_layers = set(values.get("mlp_only_layers") or ())
    sparse = sum(1 for layer in range(size.layers) if layer not in dense_layers and (layer + 1) % step == 0)
    experts = size.experts * (3 * size.hidden * size.intermediate + size.hidden)  # with the router
    return sparse * experts + (size.layers - sparse) * 3 * size.hidden * dense_width


def context_length(config: JsonObject) -> int | None:
    """Longest input in tokens that the model was made for, None when the config doesn't say."""
    return _int(_with_defaults(text_part(config)), "max_position_embeddings")


def model_type(config: JsonObject) -> str:
    """transformers' name of the architecture, "" when the config doesn't say."""
    return str(config.get("model_type") or "")


def architecture(config: JsonObject) -> str:
    """Name of the model class, "" when the config doesn't say."""
    named = config.get("architectures")
    return str(named[0]) if isinstance(named, list) and named else ""


def quantisation(config: JsonObject) -> str | None:
    """Method by which the stored weights are quantised, e.g. "bitsandbytes"; None for plain weights."""
    settings = config.get("quantization_config")
    if not isinstance(settings, Mapping):
        return None
    return str(settings.get("quant_method") or "unknown")


def needs_remote_code(config: JsonObject) -> bool:
    """True when the model can only be loaded by running Python code that comes with it."""
    return bool(config.get("auto_map")) and model_type(config) not in causal_lm_types()


def writes_text(config: JsonObject) -> bool:
    """False for classifiers, embedders and encoder-decoders, which can't be tuned here."""
    named = architecture(config)
    mapped = config.get("auto_map")
    if isinstance(mapped, Mapping) and "AutoModelForCausalLM" in mapped:
        return True
    if config.get("is_encoder_decoder") and not named.endswith("ForCausalLM"):
        return False
    return not _OTHER_KIND.search(named)


def transformers_version() -> str:
    """The version of transformers that `architectures.toml` was made from."""
    return str(_table()["transformers"])


def causal_lm_types() -> frozenset[str]:
    """Architectures that transformers can load as language models, by model_type."""
    return frozenset(_table()["causal_lm"])


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(files("tui_ft.models").joinpath("architectures.toml").read_text(encoding="utf-8"))


def _with_defaults(values: JsonObject) -> dict[str, Any]:
    """The config with its architecture's defaults for sizes that it gives under none of their names."""
    given = {alias for names in _NAMES.values() if any(name in values for name in names) for alias in names}
    defaults: dict[str, Any] = _table()["defaults"].get(model_type(values), {})
    return {**{key: value for key, value in defaults.items() if key not in given}, **values}


def _honours(values: JsonObject, switch: str) -> bool:
    """A switch of the config is on, and this architecture has it: others ignore the key."""
    return switch in _table()["defaults"].get(model_type(values), {}) and bool(values.get(switch))


def _int(values: JsonObject, key: str) -> int | None:
    """A size under any of its names; None when it is absent or null."""
    found = (values[name] for name in _NAMES[key] if values.get(name) is not None)
    return next(found, None)


def _sliding_window(values: JsonObject) -> int | None:
    layer = _LAYERS.get(model_type(values), _Layer())
    if "use_sliding_window" in values or layer.sliding_needs_flag:
        return values.get("sliding_window") if values.get("use_sliding_window") else None
    return values.get("sliding_window")


def _wrong_values(values: JsonObject) -> list[Problem]:
    """Sizes that are there but can't be sizes."""
    names = [name for group in _NAMES.values() for name in group]
    problems = []
    for name in [*names, "head_dim", "moe_intermediate_size", "sliding_window"]:
        value = values.get(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
            continue
        if value == 0 and name in (*_NAMES["num_experts"], *_NAMES["num_experts_per_tok"], "sliding_window"):
            continue
        problems.append(
            Problem(
                f"should be a positive whole number, not {excerpt(repr(value), 40)}",
                f"config.json: {name}",
                "Fetch the model again.",
            )
        )
    return problems
