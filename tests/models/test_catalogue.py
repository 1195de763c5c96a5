"""The list of starting models: complete, in order, and right about sizes."""

from __future__ import annotations

import pytest

from tui_ft.models import config
from tui_ft.models.catalogue import KNOWN, SUGGESTIONS, Suggestion, find

# Sizes as the hub shows them for these models, in billions.
PUBLISHED = {
    "SmolLM2-135M-Instruct": 0.135,
    "SmolLM2-360M-Instruct": 0.362,
    "Llama-3.2-1B-Instruct": 1.24,
    "SmolLM3-3B": 3.08,
    "Llama-3.2-3B-Instruct": 3.21,
    "Qwen3-4B-Instruct-2507": 4.02,
    "Llama-3.1-8B-Instruct": 8.03,
    "Qwen3-8B": 8.19,
    "phi-4": 14.7,
    "Qwen3-14B": 14.8,
    "Qwen3-32B": 32.8,
    "Llama-3.3-70B-Instruct": 70.6,
}


def test_a_short_list_from_small_to_large() -> None:
    sizes = [suggestion.parameters for suggestion in SUGGESTIONS]
    assert 10 <= len(sizes) <= 14
    assert sizes == sorted(sizes)
    assert sizes[0] < 0.2e9
    assert sizes[-1] > 60e9


@pytest.mark.parametrize("suggestion", KNOWN, ids=lambda suggestion: suggestion.name)
def test_each_is_complete_and_its_size_follows_from_its_config(suggestion: Suggestion) -> None:
    assert config.count_parameters(suggestion.config) == suggestion.parameters
    assert suggestion.parameters / 1e9 == pytest.approx(
        PUBLISHED.get(suggestion.name, suggestion.parameters / 1e9), rel=0.004
    )
    assert not suggestion.dims.approximate
    assert suggestion.context_length >= (8192 if suggestion.good_for else 4096)
    assert suggestion.licence
    assert suggestion.gated == suggestion.id.startswith("meta-llama/")
    assert not suggestion.good_for or 20 < len(suggestion.good_for) <= 70
    assert not suggestion.good_for or suggestion.good_for.endswith(".")
    assert config.model_type(suggestion.config) in config.causal_lm_types()
    facts = suggestion.facts()
    assert (facts.id, facts.parameters, facts.dims) == (
        suggestion.id,
        suggestion.parameters,
        suggestion.dims,
    )
    assert not facts.has_weights


def test_found_in_any_case() -> None:
    assert find("qwen/QWEN3-8b") == find("Qwen/Qwen3-8B")
    assert find("nobody/nothing") is None


def test_sizes_of_a_mixture_of_experts() -> None:
    """Qwen3-30B-A3B: 30.5 billion parameters by its model card."""
    sizes = {
        "model_type": "qwen3_moe",
        "hidden_size": 2048,
        "num_hidden_layers": 48,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "head_dim": 128,
        "moe_intermediate_size": 768,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "vocab_size": 151936,
    }
    read = config.dims(sizes)
    assert read is not None
    assert (read.experts, read.experts_per_token, read.intermediate) == (128, 8, 768)
    assert config.count_parameters(sizes) == 30_532_122_624


def test_the_language_part_of_a_model_that_sees() -> None:
    """Gemma 3 4B gives only what differs from the defaults of its text model."""
    sizes = {
        "model_type": "gemma3",
        "text_config": {
            "hidden_size": 2560,
            "intermediate_size": 10240,
            "num_hidden_layers": 34,
            "sliding_window": 1024,
        },
    }
    read = config.dims(sizes)
    assert read is not None
    assert (read.heads, read.kv_heads, read.head_dim, read.vocab, read.tied) == (8, 4, 256, 262_208, True)
    assert read.sliding_window == 1024
    assert config.count_parameters(sizes) == 3_880_263_168


@pytest.mark.parametrize(
    ("kind", "given", "window"),
    [
        ("mistral", {}, 4096),
        ("mistral", {"sliding_window": None}, None),
        ("qwen2", {"sliding_window": 4096}, None),
        ("qwen2", {"sliding_window": 4096, "use_sliding_window": True}, 4096),
        ("gemma2", {}, 4096),
        ("llama", {}, None),
    ],
)
def test_the_sliding_window(kind: str, given: dict[str, object], window: int | None) -> None:
    read = config.dims({"model_type": kind, **given})
    assert read is not None
    assert read.sliding_window == window


def test_a_base_model_has_the_sizes_of_its_instruct_version() -> None:
    base, tuned = find("meta-llama/Llama-3.1-8B"), find("meta-llama/Llama-3.1-8B-Instruct")
    assert base is not None
    assert tuned is not None
    assert base.id == "meta-llama/Llama-3.1-8B"
    assert (base.parameters, base.dims) == (tuned.parameters, tuned.dims)


def test_known_ids_are_different() -> None:
    ids = [name for model in KNOWN for name in (model.id, *model.also)]
    assert len(ids) == len(set(ids))
