"""A model's facts in words. Pure."""

from __future__ import annotations

from tui_ft.models.facts import ModelFacts
from tui_ft.text import excerpt, parameters, size


def fact_lines(facts: ModelFacts) -> list[str]:
    """What the command line and plain mode print of a model, one fact a line."""
    rows = [("model", facts.id), ("size", _size(facts)), ("kind", _kind(facts))]
    rows += [
        ("context", "unknown" if facts.context_length is None else f"{facts.context_length:,} tokens"),
        ("chat template", "yes" if facts.chat_template else "none: it continues text, it does not chat"),
        ("licence", excerpt(facts.licence or "unknown", 60)),
        ("access", access(facts)),
        ("from", _source(facts)),
    ]
    return [f"  {name:14}{value}" for name, value in rows] + [
        f"  {excerpt(note, 200)}" for note in facts.notes
    ]


def access(facts: ModelFacts) -> str:
    """Whether its owner has to let you in."""
    if facts.gated is None:
        return "unknown, the hub was not asked"
    return "gated: accept its licence on the hub and log in" if facts.gated else "open"


def _size(facts: ModelFacts) -> str:
    exact = "" if facts.parameters_exact else " (counted from its config)"
    weights = f", {size(facts.weight_bytes)} of weights" if facts.weight_bytes else ""
    stored = f" in {facts.dtype}" if facts.dtype and weights else ""
    return f"{parameters(facts.parameters)} parameters{exact}{weights}{stored}"


def _kind(facts: ModelFacts) -> str:
    quantized = f", stored quantised ({facts.quantized})" if facts.quantized else ""
    return f"{excerpt(facts.architecture or facts.model_type, 40)}{quantized}"


def _source(facts: ModelFacts) -> str:
    where = {
        "folder": "a folder",
        "cache": "the hub cache",
        "hub": "the hub; its weights are fetched before training",
        "built-in": "tui-ft's own copy",
        "catalogue": "the catalogue; the hub was not reached",
    }[facts.source]
    return f"{where}: {facts.folder}" if facts.folder and facts.has_weights else where
