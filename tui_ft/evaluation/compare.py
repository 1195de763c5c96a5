"""Whether a difference between two models on the same rows is more than chance. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tui_ft.evaluation.metrics import METRICS, Choice
from tui_ft.text import count

Better = Literal["tuned", "base", "unclear"]
Verdict = Literal["clearly better", "no clear difference", "worse"]

RESAMPLES = 2000
FEW_ROWS = 30
MATERIAL_LOSS = 0.02  # share of the base's loss; a smaller gain can be sure and still mean nothing


@dataclass(frozen=True, slots=True)
class Difference:
    """Tuned minus base with its 95 % interval."""

    value: float
    low: float
    high: float
    better: Better


def paired_difference(
    base: Sequence[float],
    tuned: Sequence[float],
    weights: Sequence[float] | None = None,
    *,
    higher_is_better: bool = True,
    bounded: bool = True,
    seed: int = 0,
) -> Difference:
    """Weighted mean of tuned - base over rows, with a percentile bootstrap interval over rows.

    Rows are drawn as pairs, so what makes a row hard for both models cancels out (Efron & Tibshirani
    1993, ch. 8). Scores between 0 and 1 get two made-up rows for the interval only, one lost and one
    won: without them, five equal differences out of five would look certain (Agresti & Min 2005 do the
    same for paired shares). `weights` are answer tokens for loss. Raises ValueError without rows.
    """
    if not base or len(base) != len(tuned):
        raise ValueError("base and tuned need the same rows, at least one")
    weight = list(weights) if weights is not None else [1.0] * len(base)
    pairs = [(w * (t - b), w) for b, t, w in zip(base, tuned, weight, strict=True)]
    value = _ratio(pairs)
    pool = [*pairs, (1.0, 1.0), (-1.0, 1.0)] if bounded else pairs
    draws = random.Random(seed)
    means = sorted(_ratio(draws.choices(pool, k=len(pool))) for _ in range(RESAMPLES))
    low = min(value, means[round(0.025 * (RESAMPLES - 1))])
    high = max(value, means[round(0.975 * (RESAMPLES - 1))])
    gain_low, gain_high = (low, high) if higher_is_better else (-high, -low)
    better: Better = "tuned" if gain_low > 0 else "base" if gain_high < 0 else "unclear"
    return Difference(value, low, high, better)


def _ratio(pairs: Sequence[tuple[float, float]]) -> float:
    return sum(part for part, _ in pairs) / sum(weight for _, weight in pairs)


def judge(
    choice: Choice,
    base: Mapping[str, float],
    tuned: Mapping[str, float],
    differences: Mapping[str, Difference],
    rows: int,
) -> tuple[Verdict, str]:
    """One word on the tuned model, and one sentence that says why.

    The primary metric decides. It is vetoed by any other metric that got clearly worse; loss only ever
    decides where it is the primary one, because it measures progress and not usefulness.
    """
    primary = differences[choice.primary]
    counted = [name for name in choice.names if name != "loss" or name == choice.primary]
    lost = [name for name in counted if differences[name].better == "base"]
    won = [name for name in counted if differences[name].better == "tuned"]
    about = f"{_title(choice.primary)} {_change(choice.primary, base, tuned)} on {count(rows, 'unseen row')}"
    few = f" Only {rows} rows: more would make the answer surer." if rows < FEW_ROWS else ""
    if primary.better == "base":
        return "worse", f"The tuned model is worse than the base: {about}.{few}"
    if choice.primary == "loss" and abs(primary.value) < MATERIAL_LOSS * base["loss"] and not lost:
        return "no clear difference", f"Too small a difference to matter: {about}.{few}"
    if primary.better == "tuned" and not lost:
        weak = " Loss is a weak sign of quality; read the samples." if choice.primary == "loss" else ""
        return "clearly better", f"The tuned model is clearly better: {about}.{few}{weak}"
    if lost:
        named = "; ".join(f"{_title(name)} {_change(name, base, tuned)}" for name in lost)
        if primary.better == "tuned" or won:
            return "no clear difference", f"Mixed: {about}, but got worse: {named}.{few}"
        return "worse", f"The tuned model got worse: {named}.{few}"
    others = [name for name in won if name != choice.primary]
    gained = "; ".join(f"{_title(name)} {_change(name, base, tuned)}" for name in others)
    aside = f" It gained in: {gained}." if gained else ""
    return "no clear difference", f"The difference may be chance: {about}.{aside}{few}"


def _title(name: str) -> str:
    return METRICS[name].title


def _change(name: str, base: Mapping[str, float], tuned: Mapping[str, float]) -> str:
    return f"{show(name, base[name])} → {show(name, tuned[name])}"


def show(name: str, value: float) -> str:
    """A metric's value as people read it: `62 %`, or `1.84` for loss."""
    return f"{100 * value:.0f} %" if METRICS[name].bounded else f"{value:.2f}"
