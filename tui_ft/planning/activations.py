"""Bytes that forward and backward keep per token: one layer, the peak inside its backward, the loss head.

The coefficients are read off the modelling code of transformers 5.23, peft 0.21 and trl 1.16, and off
traces of those models on fake tensors. `h` is the hidden size, `q` and `kv` the widths of query and key
projection, `i` the intermediate size; `e` is the bytes of one activation, `tokens` those of one micro-batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tui_ft.models.facts import Dims
from tui_ft.planning.anatomy import Family, Module

HEAD_TILE_TOKENS = 4096  # trl/kernels/chunked_logprob.py: TOKEN_CHUNK_SIZE
HEAD_TILE_VOCABULARY = 32_768  # trl/trainer/utils.py: chunk of the vocabulary


@dataclass(frozen=True, slots=True)
class Numbers:
    """Bytes per number of each kind, as transformers, peft and trl hold them."""

    weights: int  # of the base model, apart from what is quantised
    compute: int  # activations
    trained: int  # adapters, or all weights with the method full
    autocast: bool


def numbers(method: str, precision: str) -> Numbers:
    """The number formats of a method at a precision.

    peft keeps adapters of a 16-bit base in fp32; trl casts those of a 4-bit base to bf16, which the
    loss scaling of fp16 cannot work with, so there they stay fp32. Full training in fp16 needs fp32
    weights for the same reason.
    """
    if precision == "fp32":
        return Numbers(4, 4, 4, autocast=False)
    if method == "full":
        trained = 4 if precision == "fp16" else 2
        return Numbers(trained, 2, trained, autocast=True)
    return Numbers(2, 2, 2 if method == "qlora" and precision == "bf16" else 4, autocast=True)


@dataclass(frozen=True, slots=True)
class Computation:
    """How a step computes, as far as activations are concerned."""

    method: Literal["lora", "qlora", "dora", "full"]
    numbers: Numbers
    adapted: Sequence[Module]
    rank: int
    dropout: float
    row_tokens: int  # length of one row of the attention matrix
    masked: bool  # padding or packing: SDPA gets a mask
    device: Literal["cuda", "cpu"]

    @property
    def copies_inputs(self) -> bool:
        """fp32 adapters under autocast: each keeps its own 16-bit copy of its input."""
        return self.method != "full" and self.numbers.autocast and self.numbers.trained == 4


def saved_per_layer(dims: Dims, kind: Family, how: Computation) -> float:
    """Bytes per token that one layer keeps for its backward."""
    return (
        _norms(dims, kind, how)
        + _attention(dims, kind, how)
        + _mlp(dims, how)
        + (_inputs_of_trained(dims, how) if how.method == "full" else _adapters(how))
    )


def _norms(dims: Dims, kind: Family, how: Computation) -> float:
    """fp32 inputs of the norms; when they are trained, their normalised outputs too."""
    trained = 0
    if how.method == "full":
        trained = 4 if kind.norm_in_fp32 else how.numbers.compute
    hidden = kind.norms * (dims.hidden * (4 + trained) + 4)
    if kind.qk_norm == "none":
        return hidden
    query_key = (dims.q_size + dims.kv_size) * (4 + trained)
    return hidden + query_key + (4 * (dims.heads + dims.kv_heads) if kind.qk_norm == "head" else 8)


def _attention(dims: Dims, kind: Family, how: Computation) -> float:
    e, query, value = how.numbers.compute, dims.q_size, dims.kv_size
    eager = kind.eager
    # With a mask SDPA repeats keys and values to all heads; a single one needs no copy for that.
    repeats = (how.masked or eager) and 1 < dims.kv_heads < dims.heads
    kept = e * (query + 2 * (query if repeats else value))
    if kind.fused and not repeats:
        kept += e * (query + value)  # the value is a view that keeps the whole qkv output alive
    if kind.fused and not how.copies_inputs:
        kept += e * query  # the output is copied for o_proj
    if eager:
        scores = dims.heads * how.row_tokens * (4 + e + (e if kind.softcap else 0))
        own_output = 0 if how.copies_inputs else e * query
        return kept + scores + own_output
    mask = e * how.row_tokens if how.masked else 0
    return kept + e * query + 4 * dims.heads + mask


def _mlp(dims: Dims, how: Computation) -> float:
    """Gate, activated gate and up; once per expert that a token visits, with its copy and the routing."""
    gated = 3 * how.numbers.compute * dims.intermediate
    if not dims.experts:
        return gated
    return dims.experts_per_token * (gated + how.numbers.compute * dims.hidden) + 6 * dims.experts


def _inputs_of_trained(dims: Dims, how: Computation) -> float:
    return how.numbers.compute * (2 * dims.hidden + dims.intermediate * max(1, dims.experts_per_token))


def _adapters(how: Computation) -> float:
    e, rank = how.numbers.compute, how.rank
    own_inputs = e * sum(module.inputs for module in how.adapted)
    shared_inputs = e * sum(
        {m.reads: m.inputs for m in how.adapted if m.reads != "attention output"}.values()
    )
    copies = how.copies_inputs or how.dropout > 0
    kept = (own_inputs if copies else shared_inputs) + e * rank * len(how.adapted)
    if how.dropout > 0:  # a mask of one byte on CUDA; on the CPU of the width of the number
        noise = 1 if how.device == "cuda" else how.numbers.trained
        kept += noise * sum(module.inputs for module in how.adapted)
    if how.method == "dora":  # base and adapter result of each module, for the gradient of the magnitude
        kept += 2 * e * sum(module.outputs for module in how.adapted)
    return kept


def backward_extra(dims: Dims, kind: Family, how: Computation, tokens: int) -> float:
    """Bytes of gradients and copies at the peak inside one layer's backward, besides what it saved."""
    e, hidden, middle = how.numbers.compute, dims.hidden, dims.intermediate
    more_norms = kind.norms > 2
    in_mlp = any(module.reads.startswith("mlp") for module in how.adapted)
    if (
        dims.experts
    ):  # each visited expert has its own copy of the token, of the result and of their gradients
        per_token = 2 * hidden + dims.experts_per_token * e * (2.5 * hidden + 2 * middle) + 4 * dims.experts
    elif how.method == "full":
        per_token = 3 * e * middle - e * hidden
    elif how.copies_inputs and in_mlp:
        per_token = (12 if more_norms else 10) * hidden + 3 * e * middle
    elif in_mlp:
        per_token = (6 if more_norms or kind.fused or kind.scaled_residual else 2) * hidden * (
            e == 2
        ) + 2 * e * middle
    else:
        per_token = 2 * hidden + 3 * e * middle
    if how.method == "dora" and how.numbers.autocast:  # fp32 gradients of a module's two results
        per_token += 6 * hidden + (17 if kind.fused else 4) * middle
    plain = (per_token + 2 * e * dims.head_dim) * tokens
    if how.method != "qlora":
        return plain
    return max(plain, _dequantised(dims, kind, how, tokens))


def _dequantised(dims: Dims, kind: Family, how: Computation, tokens: int) -> float:
    """The moment at which one weight of the MLP stands in 16 bits again, with what is alive beside it."""
    e = how.numbers.compute
    if dims.experts:
        return e * dims.hidden * max(dims.q_size, dims.kv_size)
    matrix = e * dims.hidden * dims.intermediate
    down = matrix + e * (dims.hidden + dims.intermediate) * tokens
    return max(down, 2 * matrix - e * dims.intermediate * tokens) if kind.fused else down


def loss_head(dims: Dims, how: Computation, tokens: int, scored_tokens: int) -> float:
    """Bytes of the last norm and trl's fused projection: hidden states, their gradient, one tile of logits.

    Without Triton, on the CPU, the tile's backward goes through ten fp32 temporaries of its size.
    """
    e, hidden = how.numbers.compute, dims.hidden
    norm = (4 + (e if how.method == "full" else 0)) * hidden * tokens
    tile = min(scored_tokens, HEAD_TILE_TOKENS) * HEAD_TILE_VOCABULARY
    tile_bytes = e + (10 * 4 if how.device == "cpu" else 0)
    weight_gradient = dims.vocab * hidden * (4 + how.numbers.trained) if how.method == "full" else 0
    return norm + (4 + 2 * e) * hidden * scored_tokens + tile * tile_bytes + weight_gradient
