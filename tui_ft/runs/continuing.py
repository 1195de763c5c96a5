"""Going on from an adapter that exists: which one is meant, and whether it belongs to this recipe.

The adapter decides rank, alpha, modules and scaling; a recipe that pins something else is refused with
every difference.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_ft import recipe as recipes
from tui_ft.errors import InputError, Problem
from tui_ft.models.facts import ModelFacts
from tui_ft.recipe import Recipe
from tui_ft.runs.folder import find
from tui_ft.settings import Home
from tui_ft.text import excerpt

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_KEY = "method.continue_from"


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter on disk, as its adapter_config.json describes it."""

    folder: Path
    base: str  # name or folder of the model it was trained on, "" when it does not say
    rank: int
    alpha: int
    targets: str | tuple[str, ...]
    rslora: bool
    dora: bool


def locate(name: str, base: Path, home: Home) -> Path:
    """The folder of the adapter of a run, or a folder by path, relative to the recipe's folder `base`.

    Raises InputError when there is no such run or folder, or no adapter in it.
    """
    folder = Path(recipes.resolve(name, base))
    if not folder.is_dir():
        if name.startswith((".", "~", "/")):
            raise InputError(f"there is no folder {folder}", where=_KEY)
        folder = find(home, name).path
    for place in (folder, folder / "adapter"):
        if (place / CONFIG).is_file() and (place / WEIGHTS).is_file():
            return place
    if (folder / "model" / "config.json").is_file():
        raise InputError(
            "every weight of that run was trained, so there is no adapter to go on from",
            where=_KEY,
            fix=f'Leave it out and set model.id to "{folder / "model"}".',
        )
    raise InputError(
        f"there is no adapter in {folder}",
        where=_KEY,
        fix=f"Name a run that has finished, or a folder with {WEIGHTS} and {CONFIG}.",
    )


def read(folder: Path) -> Adapter:
    """What adapter_config.json says. Raises InputError when it is damaged or not LoRA."""
    path = folder / CONFIG
    try:
        said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if said.get("peft_type") != "LORA":
            raise InputError(
                f"this adapter is {excerpt(str(said.get('peft_type')), 30)}, not LoRA", where=str(path)
            )
        targets = said["target_modules"]
        return Adapter(
            folder=folder,
            base=str(said.get("base_model_name_or_path") or ""),
            rank=int(said["r"]),
            alpha=round(said["lora_alpha"]),
            targets=targets if isinstance(targets, str) else tuple(sorted(map(str, targets))),
            rslora=bool(said.get("use_rslora")),
            dora=bool(said.get("use_dora")),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"cannot be read: {excerpt(str(error), 80)}", where=str(path)) from None


def settled(recipe: Recipe, base: Path, home: Home, model: ModelFacts) -> Recipe:
    """The recipe with the adapter's own settings, when it goes on from one.

    Raises InputError naming all that the recipe pins otherwise, or another base model.
    """
    if not recipe.method.continue_from:
        return recipe
    adapter = read(locate(recipe.method.continue_from, base, home))
    problems = list(_differences(recipe, adapter, model))
    if problems:
        raise InputError(problems)
    changes: dict[str, Any] = {
        _KEY: str(adapter.folder),
        "method.rank": adapter.rank,
        "method.alpha": adapter.alpha,
        "method.targets": adapter.targets if isinstance(adapter.targets, str) else list(adapter.targets),
        "method.rslora": adapter.rslora,
    }
    if adapter.dora:
        changes["method.name"] = "dora"
    return recipe.with_values(changes)


def _differences(recipe: Recipe, adapter: Adapter, model: ModelFacts) -> Iterator[Problem]:
    method = recipe.method
    if adapter.base and _name(adapter.base) not in (_name(recipe.model.id), _name(str(model.folder or ""))):
        yield Problem(
            f"the adapter was trained on {excerpt(adapter.base, 80)}, the recipe has {recipe.model.id}",
            "model.id",
            "An adapter fits the model it was trained on and no other.",
        )
    if method.name == "full":
        yield Problem(
            "full training has no adapter to go on from",
            "method.name",
            'Set it to "lora" or "qlora", or merge the adapter and set model.id to the merged model.',
        )
    elif method.name and (method.name == "dora") != adapter.dora:
        kind = "is DoRA" if adapter.dora else "is no DoRA"
        yield Problem(f"the adapter {kind}, the recipe has {method.name}", "method.name", "Leave it out.")
    targets = method.targets if isinstance(method.targets, str) else tuple(sorted(method.targets))
    for key, theirs, ours, differs in (
        ("rank", adapter.rank, method.rank, method.rank != adapter.rank),
        ("alpha", adapter.alpha, method.alpha, method.alpha != adapter.alpha),
        ("rslora", adapter.rslora, method.rslora, method.rslora != adapter.rslora),
        ("targets", adapter.targets, targets, targets not in ("all-linear", adapter.targets)),
    ):
        if f"method.{key}" in recipe.pinned and differs:
            what = f"the adapter has {_shown(theirs)}, the recipe {_shown(ours)}"
            yield Problem(what, f"method.{key}", "Leave it out: the adapter decides.")


def _shown(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value).lower()


def _name(model: str) -> str:
    """The name of a model by hub id, folder or folder of the hub cache, for comparison."""
    parts = Path(model).parts
    cached = next((part for part in parts if part.startswith("models--")), "")
    return (cached.rpartition("--")[2] if cached else parts[-1] if parts else "").casefold()
