"""Sizes and parameter counts agree with real transformers models and configs of many shapes."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from typing import Any

import pytest

from tui_ft.models import config

# A child process: nothing outside the training workers may load torch.
COUNT = """
import json, sys
import torch
from transformers import AutoModelForCausalLM, CONFIG_MAPPING
answers = []
for given in json.load(sys.stdin):
    made = CONFIG_MAPPING[given["model_type"]](**{k: v for k, v in given.items() if k != "model_type"})
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(made)
    answers.append({"parameters": sum(p.numel() for p in model.parameters()), "saved": made.to_diff_dict()})
print(json.dumps(answers))
"""
SMALL = {
    "vocab_size": 320,
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
EXPERTS: dict[str, list[dict[str, Any]]] = {
    "mixtral": [{"num_local_experts": 4}],
    "qwen3_moe": [
        {"num_experts": 4, "moe_intermediate_size": 40},
        {"num_experts": 4, "moe_intermediate_size": 40, "decoder_sparse_step": 2},
        {"num_experts": 4, "moe_intermediate_size": 40, "mlp_only_layers": [1]},
    ],
}


def variants() -> list[dict[str, Any]]:
    """Small models of every known architecture: each switch once on and once off."""
    made: list[dict[str, Any]] = []
    for kind in config.KNOWN:
        for extra in EXPERTS.get(kind, [{}]):
            made.append({"model_type": kind, **SMALL, **extra})
            made += [
                {"model_type": kind, **SMALL, **extra, "tie_word_embeddings": tied} for tied in (True, False)
            ]
            for switch in ("attention_bias", "mlp_bias"):
                made.append({"model_type": kind, **SMALL, **extra, switch: True})
            if kind != "phi3":  # its rotary cache is sized by hidden / heads
                made.append({"model_type": kind, **SMALL, **extra, "head_dim": 16})
    return made


@pytest.mark.train
def test_counts_equal_those_of_real_models() -> None:
    given = variants()
    done = subprocess.run(
        [sys.executable, "-c", COUNT], input=json.dumps(given), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for one, answer in zip(given, json.loads(done.stdout), strict=True):
        assert config.count_parameters(one) == answer["parameters"], one
        saved = answer["saved"]
        mine, theirs = config.dims(one), config.dims(saved)
        assert mine is not None
        assert theirs is not None
        assert asdict(mine) == asdict(theirs), (one, saved)


@pytest.mark.parametrize("kind", config.KNOWN)
def test_an_empty_config_has_the_sizes_of_its_architecture(kind: str) -> None:
    sizes = config.dims({"model_type": kind})
    assert sizes is not None
    assert not sizes.approximate
    assert sizes.heads % sizes.kv_heads == 0
    counted = config.count_parameters({"model_type": kind})
    assert counted is not None
    assert counted > sizes.vocab * sizes.hidden
