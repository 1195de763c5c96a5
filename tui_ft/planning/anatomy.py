"""What a decoder is made of: its linear modules and where its parameters sit, by family of architectures.

Read from the modelling code of transformers 5.23. An architecture that is not listed is treated like
Llama, and `Family.known` says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tui_ft.models.facts import Dims

Reads = Literal["attention input", "attention output", "mlp input", "mlp middle"]


@dataclass(frozen=True, slots=True)
class Family:
    """How an architecture differs from Llama, as far as memory is concerned."""

    known: bool = True
    norms: int = 2  # RMS norms over the hidden size in one layer
    norm_in_fp32: bool = False  # the norm multiplies by its weight before it casts back
    qk_norm: Literal["none", "head", "full"] = "none"  # norm of queries and keys, per head or over all heads
    qkv_bias: bool = False
    fused: bool = False  # one qkv and one gate-up projection
    eager: bool = False  # no SDPA: attention scores are kept
    softcap: bool = False  # scores go through tanh
    pre_norm: bool = True  # the norm stands before attention and MLP, not behind them
    scaled_residual: bool = False  # results are multiplied before they join the residual stream
    expert_adapters: bool = False  # peft puts adapters on the experts too


FAMILIES: dict[str, Family] = {
    **dict.fromkeys(("llama", "mistral", "ministral", "ministral3", "smollm3", "seed_oss"), Family()),
    "mixtral": Family(expert_adapters=True),
    **dict.fromkeys(("granite", "granitemoe"), Family(scaled_residual=True)),
    "qwen2": Family(qkv_bias=True),
    "qwen2_moe": Family(qkv_bias=True, expert_adapters=True),
    "qwen3": Family(qk_norm="head"),
    "qwen3_moe": Family(qk_norm="head", expert_adapters=True),
    "gemma": Family(norm_in_fp32=True),
    "gemma2": Family(norms=4, norm_in_fp32=True, eager=True, softcap=True),
    **dict.fromkeys(("gemma3", "gemma3_text"), Family(norms=4, norm_in_fp32=True, qk_norm="head")),
    **dict.fromkeys(("olmo2", "olmo3"), Family(norm_in_fp32=True, qk_norm="full", pre_norm=False)),
    "phi3": Family(fused=True),
}
UNKNOWN = Family(known=False)


def family(model_type: str) -> Family:
    """The family of a config's `model_type`; `UNKNOWN` when it is not listed."""
    return FAMILIES.get(model_type, UNKNOWN)


@dataclass(frozen=True, slots=True)
class Module:
    """A linear module of one layer, `inputs` → `outputs`."""

    name: str
    inputs: int
    outputs: int
    reads: Reads

    @property
    def size(self) -> int:
        """Number of weights."""
        return self.inputs * self.outputs


def modules(dims: Dims, kind: Family) -> tuple[Module, ...]:
    """The linear modules of one layer. Experts of a mixture are no linear modules and are left out."""
    hidden, query, value, middle = dims.hidden, dims.q_size, dims.kv_size, dims.intermediate
    attention: tuple[Module, ...]
    mlp: tuple[Module, ...]
    if kind.fused:
        attention = (Module("qkv_proj", hidden, query + 2 * value, "attention input"),)
        mlp = (Module("gate_up_proj", hidden, 2 * middle, "mlp input"),)
    else:
        attention = (
            Module("q_proj", hidden, query, "attention input"),
            Module("k_proj", hidden, value, "attention input"),
            Module("v_proj", hidden, value, "attention input"),
        )
        mlp = (
            Module("gate_proj", hidden, middle, "mlp input"),
            Module("up_proj", hidden, middle, "mlp input"),
        )
    attention += (Module("o_proj", query, hidden, "attention output"),)
    mlp += (Module("down_proj", middle, hidden, "mlp middle"),)
    return attention if dims.experts else attention + mlp


def adapted(dims: Dims, kind: Family, targets: str | tuple[str, ...]) -> tuple[Module, ...]:
    """The modules that get an adapter. Names that match none fall back to every linear module."""
    every = modules(dims, kind)
    if isinstance(targets, str):
        return every if targets == "all-linear" else tuple(m for m in every if m.name == targets) or every
    return tuple(m for m in every if m.name in targets) or every


def adapts_experts(dims: Dims, kind: Family, targets: str | tuple[str, ...]) -> bool:
    """The experts of a mixture get adapters: they are targets, and peft knows the architecture.

    peft/utils/transformers_weight_conversion.py turns the names of v4's experts into v5's stacked weights.
    """
    if not dims.experts or not kind.expert_adapters:
        return False
    return targets == "all-linear" or any(name.startswith(("gate_", "up_", "down_")) for name in targets)


def adapter_tensors(
    dims: Dims, kind: Family, targets: str | tuple[str, ...], rank: int, *, magnitudes: bool
) -> list[int]:
    """Numbers of weights of each tensor that adapters add to one layer; DoRA has magnitudes too.

    The stacked gate and up projection of experts has twice the rank, for the two matrices in it.
    """
    sizes = []
    for module in adapted(dims, kind, targets):
        sizes += [rank * module.inputs, rank * module.outputs] + [module.outputs] * magnitudes
    if adapts_experts(dims, kind, targets):
        hidden, middle, ranks = dims.hidden, dims.intermediate, dims.experts * rank
        sizes += [2 * ranks * hidden, 2 * ranks * 2 * middle, ranks * middle, ranks * hidden]
    return sizes


@dataclass(frozen=True, slots=True)
class Parameters:
    """Numbers of weights by where they sit; they add up to `total`."""

    embedding: int
    head: int  # 0 when tied to the embedding
    linear: int  # in linear modules of all layers, the part that 4-bit loading shrinks
    experts: int  # in expert matrices, which stay in 16 bits
    other: int  # norms, biases, routers

    @property
    def total(self) -> int:
        """All weights."""
        return self.embedding + self.head + self.linear + self.experts + self.other


def count(dims: Dims, kind: Family, exact: int | None = None) -> Parameters:
    """Weights by part. With `exact` (from the headers), what the sizes do not explain goes to `other`.

    Where the exact number is smaller than what the sizes give, the linear part gives way.
    """
    embedding = dims.vocab * dims.hidden
    head = 0 if dims.tied else embedding
    linear = dims.layers * sum(module.size for module in modules(dims, kind))
    experts = dims.layers * dims.experts * 3 * dims.hidden * dims.intermediate
    routers = dims.layers * dims.experts * dims.hidden
    norms = (dims.layers * kind.norms + 1) * dims.hidden
    if kind.qk_norm == "head":
        norms += dims.layers * 2 * dims.head_dim
    elif kind.qk_norm == "full":
        norms += dims.layers * (dims.q_size + dims.kv_size)
    biases = dims.layers * (dims.q_size + 2 * dims.kv_size) if kind.qkv_bias else 0
    other = norms + biases + routers
    if exact is None:
        return Parameters(embedding, head, linear, experts, other)
    rest = exact - embedding - head - linear - experts
    if rest >= 0:
        return Parameters(embedding, head, linear, experts, rest)
    return Parameters(embedding, head, max(0, linear + rest), experts, 0)


def typical(parameters: int) -> Dims:
    """Sizes of a usual dense decoder with this many weights, for a model whose config cannot be read.

    The hidden size grows with the cube root of the parameters as in the Llama family (1B: 2048, 8B: 4096).
    """
    hidden = max(256, 64 * round((parameters / 1e9) ** (1 / 3) * 2048 / 64))
    heads = max(1, hidden // 128)
    vocab = 128_000 if parameters > 5e8 else 50_000
    middle = int(3.5 * hidden) // 64 * 64
    per_layer = 2 * hidden * hidden + hidden * hidden // 2 + 3 * hidden * middle
    layers = max(4, round((parameters - vocab * hidden) / per_layer))
    return Dims(
        layers=layers,
        hidden=hidden,
        intermediate=middle,
        heads=heads,
        kv_heads=max(1, heads // 4),
        head_dim=hidden // heads,
        vocab=vocab,
        tied=parameters < 4e9,
    )
