"""The whole check of a merged model: loads what is compared, in the widest numbers that fit.

Child processes only: imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from tui_ft.evaluation.loading import Models
from tui_ft.export.check import Check, Measure
from tui_ft.export.merge import load, merged_dtype
from tui_ft.export.shop import free_memory, no_memory
from tui_ft.export.verify import answer_measures, compare_weights, trained_measure, weight_measures
from tui_ft.models.headers import read_folder
from tui_ft.planning.plan import Plan
from tui_ft.recipe import Recipe
from tui_ft.runs.folder import RunFolder

# Beside the weights: logits, the adapter, and what Python itself needs.
_BESIDE = 1.25


@dataclass(frozen=True, slots=True)
class Place:
    """Where models are compared, and in which numbers."""

    device: str
    dtype: torch.dtype


def place(weights: Path, models: int, stored: torch.dtype) -> Place:
    """fp32 where this many models fit in it, else their own 16 bits; on the GPU when they fit there.

    fp32 leaves only the rounding of the weights to be measured. Raises EnvironmentProblem when they fit
    nowhere.
    """
    parameters = sum(tensor.elements for tensor in read_folder(weights).tensors.values())
    needs = {dtype: int(models * parameters * dtype.itemsize * _BESIDE) for dtype in (torch.float32, stored)}
    free = free_memory()
    if torch.cuda.is_available() and torch.cuda.mem_get_info()[0] >= needs[torch.float32]:
        return Place("cuda", torch.float32)
    for dtype, needed in needs.items():
        if free >= needed:
            return Place("cpu", dtype)
    raise no_memory(needs[stored], free)


def check_merged(
    folder: RunFolder,
    plan: Plan,
    recipe: Recipe,
    paths: tuple[Path, Path, Path],
    texts: Sequence[Sequence[int]],
    source: str,
    check: Callable[[], None] = lambda: None,
) -> Check:
    """Hold the merged model against base and trained weights; `paths` are base, trained and merged.

    `texts` are token ids of rows; `check` may raise to stop. Raises EnvironmentProblem without memory.
    """
    base_path, tuned_path, merged_path = paths
    full = plan.method.name == "full"
    dtype = merged_dtype(base_path)
    spot = place(merged_path, 3 if full else 2, dtype)
    trust = recipe.model.trust_remote_code
    merged = load(merged_path, spot.dtype, trust_remote_code=trust, device=spot.device)
    base = load(base_path, spot.dtype, trust_remote_code=trust, device=spot.device)
    measures: tuple[Measure, ...] = ()
    if full:
        tuned = load(tuned_path, spot.dtype, trust_remote_code=trust, device=spot.device)
        measures += answer_measures(tuned, lambda: nullcontext(base), merged, texts, dtype, check)
    else:
        tuned = PeftModel.from_pretrained(base, tuned_path, is_trainable=False).eval()
        measures += weight_measures(compare_weights(tuned, merged, dtype), dtype)
        measures += answer_measures(tuned, lambda: _without_adapter(tuned), merged, texts, dtype, check)
    notes: dict[str, Any] = {
        "weights": str(dtype).removeprefix("torch."),
        "computed_in": str(spot.dtype).removeprefix("torch."),
        "texts": len(texts),
        "tokens": sum(map(len, texts)),
    }
    if plan.method.name == "qlora":
        with Models(folder, plan, recipe).use("tuned") as trained, tuned.disable_adapter():
            measures += (trained_measure(trained, tuned, merged, texts, check),)
    return Check("merged", source, measures, notes)


@contextmanager
def _without_adapter(tuned: Any) -> Iterator[Any]:
    with tuned.disable_adapter():
        yield tuned
