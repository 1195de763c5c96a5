"""A Llama-family GGUF file as an ordinary bf16 model folder: `python -m tui_ft.models.dequantise SRC DST`.

Runs in a child process: it keeps a processor busy for seconds and holds the whole model in memory. The
gguf package decodes the blocks; this module only renames tensors and writes the folder. transformers can
do the same through torch, in ten times the time; a test checks that every weight is equal, bit for bit.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray
from safetensors import TensorSpec, serialize_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

_ROWS = 512  # decoded at once, so that the 32-bit intermediate stays in the processor's cache

_TOP = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
_IN_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


class _Reader(gguf.GGUFReader):
    """Reads the same bytes through a plain array: slicing a memmap 100,000 times takes seconds."""

    @property  # type: ignore[override]
    def data(self) -> NDArray[np.uint8]:
        return self._data

    @data.setter
    def data(self, value: NDArray[np.uint8]) -> None:
        self._data = np.asarray(value)


def dequantise(source: Path, folder: Path) -> None:
    """Write config, tokenizer, template and bf16 weights of the GGUF file `source` into `folder`.

    Raises ValueError for an architecture or tokenizer other than Llama with SmolLM's byte-level BPE.
    """
    reader = _Reader(source)
    fields = {name: found.contents() for name, found in reader.fields.items()}
    kind = (fields["general.architecture"], fields["tokenizer.ggml.model"], fields["tokenizer.ggml.pre"])
    if kind != ("llama", "gpt2", "smollm"):
        raise ValueError(f"{source}: cannot convert {kind}")
    weights = dict(_weights(reader, fields))
    _write_json(folder / "config.json", _config(fields, tied="lm_head.weight" not in weights))
    _write_json(folder / "generation_config.json", _special_ids(fields))
    _write_json(folder / "tokenizer_config.json", _tokenizer_config(fields))
    (folder / "chat_template.jinja").write_text(fields["tokenizer.chat_template"], encoding="utf-8")
    (folder / "README.md").write_text(_card(fields, source), encoding="utf-8")
    _tokenizer(fields).save(str(folder / "tokenizer.json"))
    serialize_file(
        {
            name: TensorSpec(
                dtype="bfloat16", shape=weight.shape, data_ptr=weight.ctypes.data, data_len=weight.nbytes
            )
            for name, weight in weights.items()
        },
        str(folder / "model.safetensors"),
        metadata={"format": "pt"},
    )


def _weights(reader: _Reader, fields: dict[str, Any]) -> Iterator[tuple[str, NDArray[np.uint16]]]:
    """(name, bf16 bits) of each tensor, in the layout of LlamaForCausalLM."""
    heads = {
        "attn_q": fields["llama.attention.head_count"],
        "attn_k": fields["llama.attention.head_count_kv"],
    }
    for tensor in reader.tensors:
        block, _, kind = tensor.name.removesuffix(".weight").rpartition(".")
        bits = _bf16(tensor)
        if kind in heads:
            bits = _halves_apart(bits, heads[kind])
        layer = block.removeprefix("blk.")
        name = f"model.layers.{layer}.{_IN_LAYER[kind]}" if block else _TOP[kind]
        yield f"{name}.weight", np.ascontiguousarray(bits)


def _bf16(tensor: Any) -> NDArray[np.uint16]:
    """A tensor as the bits of bf16, rounded half to even."""
    if tensor.data.ndim == 1:
        return _round(gguf.quants.dequantize(tensor.data, tensor.tensor_type))
    pieces = (tensor.data[start : start + _ROWS] for start in range(0, len(tensor.data), _ROWS))
    return np.concatenate([_round(gguf.quants.dequantize(piece, tensor.tensor_type)) for piece in pieces])


def _round(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    bits = values.view(np.uint32)
    rounded = bits >> 16
    rounded &= 1
    rounded += bits
    rounded += 0x7FFF
    rounded >>= 16
    return rounded.astype(np.uint16)


def _halves_apart(rows: NDArray[np.uint16], heads: int) -> NDArray[np.uint16]:
    """Undo llama.cpp's order of rotary rows: it interleaves the two halves of each head."""
    pairs = rows.reshape(heads, rows.shape[0] // heads // 2, 2, rows.shape[1])
    return pairs.swapaxes(1, 2).reshape(rows.shape)


def _config(fields: dict[str, Any], *, tied: bool) -> dict[str, Any]:
    heads = fields["llama.attention.head_count"]
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "attention_bias": False,
        "attention_dropout": 0.0,
        **_special_ids(fields),
        "dtype": "bfloat16",
        "head_dim": fields["llama.embedding_length"] // heads,
        "hidden_act": "silu",
        "hidden_size": fields["llama.embedding_length"],
        "intermediate_size": fields["llama.feed_forward_length"],
        "max_position_embeddings": fields["llama.context_length"],
        "mlp_bias": False,
        "num_attention_heads": heads,
        "num_hidden_layers": fields["llama.block_count"],
        "num_key_value_heads": fields["llama.attention.head_count_kv"],
        # The file holds a 32-bit float; the seven digits that it carries are the number that was meant.
        "rms_norm_eps": float(f"{fields['llama.attention.layer_norm_rms_epsilon']:.7g}"),
        "rope_parameters": {"rope_theta": fields["llama.rope.freq_base"], "rope_type": "default"},
        "tie_word_embeddings": tied,
        "vocab_size": fields["llama.vocab_size"],
    }


def _special_ids(fields: dict[str, Any]) -> dict[str, int]:
    return {
        "bos_token_id": fields["tokenizer.ggml.bos_token_id"],
        "eos_token_id": fields["tokenizer.ggml.eos_token_id"],
        "pad_token_id": fields["tokenizer.ggml.padding_token_id"],
    }


def _tokenizer_config(fields: dict[str, Any]) -> dict[str, Any]:
    tokens = fields["tokenizer.ggml.tokens"]
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": tokens[fields["tokenizer.ggml.bos_token_id"]],
        "eos_token": tokens[fields["tokenizer.ggml.eos_token_id"]],
        "pad_token": tokens[fields["tokenizer.ggml.padding_token_id"]],
        "unk_token": tokens[fields["tokenizer.ggml.unknown_token_id"]],
        "clean_up_tokenization_spaces": False,
        "model_max_length": fields["llama.context_length"],
    }


def _tokenizer(fields: dict[str, Any]) -> Tokenizer:
    """Byte-level BPE that takes each digit by itself, which is what `smollm` stands for in a GGUF file."""
    tokens: list[str] = fields["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ", 1)) for merge in fields["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = gguf.TokenType.CONTROL
    kinds = fields["tokenizer.ggml.token_type"]
    tokenizer.add_special_tokens(
        [
            AddedToken(token, normalized=False, special=True)
            for token, kind in zip(tokens, kinds, strict=True)
            if kind == control
        ]
    )
    return tokenizer


def _card(fields: dict[str, Any], source: Path) -> str:
    return (
        f"---\nlicense: {fields['general.license']}\n---\n\n"
        f"Weights decoded from {source.name}, a quantised copy: close to the original's but not equal.\n"
    )


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    dequantise(Path(sys.argv[1]), Path(sys.argv[2]))
