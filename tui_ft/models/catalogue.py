"""A short list of starting models by size. Suggestions: any other model can be named instead."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Any

from tui_ft.models import config
from tui_ft.models.facts import Dims, ModelFacts

_BYTES_OF_BF16 = 2


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A model to start from, with what can be said about it without the hub."""

    id: str
    parameters: int
    licence: str
    gated: bool  # its licence must be accepted on the hub first
    good_for: str = ""  # one line
    also: tuple[str, ...] = ()  # ids with the same sizes: base models, other tunings
    config: dict[str, Any] = field(default_factory=dict, repr=False, hash=False, compare=False)

    @property
    def name(self) -> str:
        """The id without its owner."""
        return self.id.partition("/")[2]

    @property
    def context_length(self) -> int:
        """Longest input in tokens."""
        return config.context_length(self.config) or 0

    @property
    def dims(self) -> Dims:
        """The sizes that memory and time are planned from."""
        sizes = config.dims(self.config)
        if sizes is None:
            raise ValueError(f"catalogue.toml: {self.id} lacks sizes")
        return sizes

    def facts(self) -> ModelFacts:
        """What the list knows, as the facts of a model whose files are not here."""
        return ModelFacts(
            id=self.id,
            folder=None,
            revision=None,
            source="catalogue",
            model_type=config.model_type(self.config),
            architecture=config.architecture(self.config),
            dims=self.dims,
            parameters=self.parameters,
            parameters_exact=False,
            weight_bytes=self.parameters * _BYTES_OF_BF16,
            dtype="BF16",
            context_length=self.context_length,
            chat_template=None,
            licence=self.licence,
            gated=self.gated,
            quantized=None,
            needs_remote_code=False,
            notes=("The hub was not asked: sizes and licence are those of tui-ft's own list.",),
            config=self.config,
        )


def _load() -> tuple[Suggestion, ...]:
    text = files("tui_ft.models").joinpath("catalogue.toml").read_text(encoding="utf-8")
    return tuple(
        Suggestion(**{**entry, "also": tuple(entry.get("also", ()))})
        for entry in tomllib.loads(text)["model"]
    )


KNOWN: tuple[Suggestion, ...] = _load()
SUGGESTIONS: tuple[Suggestion, ...] = tuple(model for model in KNOWN if model.good_for)  # smallest first


def find(model_id: str) -> Suggestion | None:
    """The model with this hub id, in any case; None when it isn't on the list."""
    folded = model_id.casefold()
    for model in KNOWN:
        found = next((name for name in (model.id, *model.also) if name.casefold() == folded), None)
        if found:
            return replace(model, id=found)
    return None
