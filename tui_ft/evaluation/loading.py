"""Base and tuned model of a run, loaded once where possible. Child processes only: imports torch."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from peft import PeftModel
from transformers import GenerationConfig

from tui_ft.evaluation.weights import base_folder, tuned_folder
from tui_ft.planning.plan import Plan
from tui_ft.recipe import Recipe
from tui_ft.runs.folder import RunFolder
from tui_ft.training.model import load_base

Which = Literal["base", "tuned"]


class Models:
    """Gives out the base or the tuned model of a run, in the number formats it was trained in.

    With an adapter the weights are loaded once and the adapter is switched off for the base; after full
    fine-tuning only one of the two models is in memory at a time.
    """

    def __init__(self, folder: RunFolder, plan: Plan, recipe: Recipe) -> None:
        """Loads nothing yet. Raises InputError when base or trained weights are missing."""
        self._plan = plan
        self._recipe = recipe
        self._base = base_folder(plan)
        self._tuned = tuned_folder(folder, plan)
        self._loaded: Any = None

    @contextmanager
    def use(self, which: Which) -> Iterator[Any]:
        """The model, with gradients off and without the generation defaults of its folder."""
        with torch.inference_mode():
            if self._plan.method.name == "full":
                self._loaded = None
                gc.collect()
                self._loaded = self._load(self._base if which == "base" else self._tuned)
                yield self._loaded
                return
            if self._loaded is None:
                self._loaded = PeftModel.from_pretrained(self._load(self._base), self._tuned).eval()
            if which == "tuned":
                yield self._loaded
                return
            with self._loaded.disable_adapter():
                yield self._loaded

    def _load(self, folder: Path) -> Any:
        model = load_base(replace(self._plan, model_folder=str(folder)), self._recipe.model)
        model.config.use_cache = True
        # The folder's own defaults may hold a repetition penalty, which greedy answers must not have.
        model.generation_config = GenerationConfig()
        return model.eval()
