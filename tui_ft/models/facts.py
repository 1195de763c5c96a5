"""What a model is, read from config.json and safetensors headers without loading a weight."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tui_ft.models.cached import complete


@dataclass(frozen=True, slots=True)
class Dims:
    """The sizes that decide memory and time.

    `intermediate` is that of one expert in a mixture of experts. `approximate`: the architecture isn't one
    of `config.KNOWN`, the sizes were read by the usual names and the layers may hold more than these say.
    """

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    tied: bool
    experts: int = 0  # 0 for dense models
    experts_per_token: int = 0
    sliding_window: int | None = None
    approximate: bool = False

    @property
    def q_size(self) -> int:
        """Width of the query projection."""
        return self.heads * self.head_dim

    @property
    def kv_size(self) -> int:
        """Width of the key (or value) projection."""
        return self.kv_heads * self.head_dim


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model as tui-ft sees it before any weight is loaded."""

    id: str  # as the user named it
    folder: Path | None  # where its files are on this machine; None when only its config could be fetched
    revision: str | None  # hub commit
    source: Literal["folder", "cache", "hub", "built-in", "catalogue"]  # catalogue: the hub was not reached
    model_type: str  # config.json's model_type, e.g. "llama"
    architecture: str  # e.g. "LlamaForCausalLM"
    dims: Dims | None  # None for an architecture whose config we cannot read
    parameters: int | None  # exact, from the headers; else counted from the config
    parameters_exact: bool
    weight_bytes: int | None  # size of the weight files
    dtype: str | None  # of the stored weights, e.g. "BF16"
    context_length: int | None
    chat_template: str | None
    licence: str | None
    gated: bool | None  # None: unknown, the hub was not asked
    quantized: str | None  # quantisation method of the stored weights, e.g. "bitsandbytes"
    needs_remote_code: bool
    notes: tuple[str, ...] = ()  # what the user should know about these facts, a sentence each
    config: dict[str, Any] = field(repr=False, hash=False, compare=False, default_factory=dict)

    @property
    def has_weights(self) -> bool:
        """True when safetensors weights are on this machine."""
        return self.folder is not None and complete(self.folder)
