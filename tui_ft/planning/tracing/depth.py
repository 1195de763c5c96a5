"""A deep model from shallow ones: the peaks of each moment grow in a straight line with equal layers.

Each moment (say, the backward of the first layer) is followed through two depths and drawn on to the whole
model. The peak is the largest of these, so it may be in another place than in the shallow models. Inner
layers lie in a straight line between those at the ends, and need no figure of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tui_ft.planning.tracing.ledger import Moment, Peak
from tui_ft.planning.tracing.step import Job, Trace, trace

_EDGE = 3  # periods of layers: first, last, and one between them that is neither


@dataclass(frozen=True, slots=True)
class Whole:
    """The peaks of the whole model, and the depths that were run for them."""

    peaks: Mapping[Moment, Peak]
    depths: Sequence[int]
    layers: int
    trained_bytes: int  # of all weights that get a gradient


def trace_whole(config: Any, job: Job, *, full_depth: bool = False) -> Whole:
    """Trace the model; at two smaller depths where its layers repeat and that saves work."""
    text = config.get_text_config()
    layers = text.num_hidden_layers
    depths = None if full_depth else shallow(layers, patterns(text.to_dict(), layers))
    small = trace(at_depth(config, depths[0]), job) if depths else None
    if depths is None or small is None or not small.layers:
        whole = trace(config, job)
        return Whole(whole.peaks, (layers,), layers, whole.trained_bytes)
    large = trace(at_depth(config, depths[1]), job)
    steps = (layers - small.layers) // (large.layers - small.layers)
    trained = small.trained_bytes + (large.trained_bytes - small.trained_bytes) * steps
    return Whole(extended(small, large, layers), depths, layers, trained)


def patterns(values: Mapping[str, Any], layers: int) -> list[Sequence[Any]]:
    """What a config says of each layer in turn, e.g. which attention it has."""
    return [value for value in values.values() if isinstance(value, (list, tuple)) and len(value) == layers]


def shallow(layers: int, said: Sequence[Sequence[Any]]) -> tuple[int, int] | None:
    """Two depths that stand for `layers`, or None when the whole is as quick to run.

    Both leave the same remainder as the whole, so that the last layers are of the same kinds.
    """
    period = next((p for p in range(1, layers + 1) if all(_repeats(pattern, p) for pattern in said)), layers)
    rest = layers % period
    first = _EDGE * period + rest if period == 1 else 2 * period + rest
    second = first + period
    return (first, second) if first + second < layers else None


def _repeats(pattern: Sequence[Any], period: int) -> bool:
    return all(pattern[index] == pattern[index % period] for index in range(len(pattern)))


def at_depth(config: Any, depth: int) -> Any:
    """The same config with fewer layers."""
    values = config.to_dict()
    text = values.get("text_config") if isinstance(values.get("text_config"), dict) else values
    layers = config.get_text_config().num_hidden_layers
    for key, value in text.items():
        if isinstance(value, (list, tuple)) and len(value) == layers:
            text[key] = value[:depth]
    text["num_hidden_layers"] = depth
    return type(config).from_dict(values)


def extended(small: Trace, large: Trace, layers: int) -> dict[Moment, Peak]:
    """The peaks at full depth of the moments at both ends."""
    steps = (layers - small.layers) / (large.layers - small.layers)
    peaks: dict[Moment, Peak] = {}
    for (name, index), peak in small.peaks.items():
        if name not in ("forward", "backward"):
            peaks[name, index] = _drawn_on(peak, large.peaks[name, index], steps)
            continue
        if index < small.layers - 1:
            peaks[name, index] = _drawn_on(peak, large.peaks[name, index], steps)
        if index > 0:
            there = index + large.layers - small.layers
            peaks[name, index + layers - small.layers] = _drawn_on(peak, large.peaks[name, there], steps)
    return peaks


def _drawn_on(small: Peak, large: Peak, steps: float) -> Peak:
    parts = {
        part: round(small.parts.get(part, 0) + (large.parts.get(part, 0) - small.parts.get(part, 0)) * steps)
        for part in {*small.parts, *large.parts}
    }
    return Peak(sum(parts.values()), parts)
