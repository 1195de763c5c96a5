"""lock.toml: what exactly was trained, on what, with which versions. Checked again at resume."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import re
import tomllib
from pathlib import Path
from typing import Any

import tomli_w

from tui_ft import __version__
from tui_ft.errors import InputError, Problem
from tui_ft.files import sha256, write_atomically
from tui_ft.hardware import nvml
from tui_ft.planning.plan import Plan
from tui_ft.recipe import Recipe
from tui_ft.runs.folder import RunFolder

_PACKAGES = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "bitsandbytes",
    "datasets",
    "tokenizers",
    "safetensors",
)
_WEIGHTS = re.compile(r".*\.safetensors(\.index\.json)?|config\.json|tokenizer\.json")
_BLOB = re.compile(r"[0-9a-f]{64}")


def write(folder: RunFolder, recipe: Recipe, plan: Plan, tokenizer: Any, base: Path) -> None:
    """Record this run's ingredients. `base` is the folder of the base model's files."""
    reading = nvml.read()
    template = tokenizer.chat_template
    document: dict[str, Any] = {
        "tui_ft": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "seed": plan.train.seed,
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "device": {
            "name": plan.device_name,
            "driver": reading.driver or "",
            "gpus": [gpu.name for gpu in reading.gpus if gpu.visible],
        },
        "data": {
            "sources": {path: sha256(Path(path)) for path in _sources(recipe) if Path(path).is_file()},
            "prepared": _prepared(folder),
        },
        "model": {
            "id": recipe.model.id,
            "revision": recipe.model.revision or hub_commit(base),
            "files": {path.name: _identity(path) for path in _weights(base)},
            "chat_template_sha256": hashlib.sha256(template.encode()).hexdigest() if template else "",
        },
    }
    write_atomically(folder.lock, tomli_w.dumps(document))


def check(folder: RunFolder, base: Path) -> None:
    """Refuse to go on with other data or another base model than the run began with.

    Raises InputError that names every file that changed.
    """
    try:
        document = tomllib.loads(folder.lock.read_text(encoding="utf-8"))
        prepared = document["data"]["prepared"]
        files = document["model"]["files"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            "cannot be read, so it is unknown what this run was trained on",
            where=str(folder.lock),
            fix=f"Start a new run with `tui-ft train {folder.recipe}`.",
        ) from None
    now = {path.name: _identity(path) for path in _weights(base)}
    rows = _prepared(folder)
    changed = [
        Problem("has changed since this run began", str(folder.data / name))
        for name, digest in prepared.items()
        if rows.get(name) != digest
    ]
    changed += [
        Problem("is not the file this run began with", str(base / name))
        for name, digest in files.items()
        if now.get(name) != digest
    ]
    if changed:
        raise InputError(
            [
                Problem(found.what, found.where, "Put it back, or start a new run from the recipe.")
                for found in changed
            ]
        )


def hub_commit(base: Path) -> str:
    """The commit a folder of the hub cache belongs to; "" for other folders."""
    return base.name if base.parent.name == "snapshots" else ""


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _sources(recipe: Recipe) -> list[str]:
    data = recipe.data
    paths = [data.path] if isinstance(data.path, str) else data.path
    return [path for path in (*paths, data.validation_path, data.test_path, *data.mix) if path]


def _prepared(folder: RunFolder) -> dict[str, str]:
    return {path.name: sha256(path) for path in sorted(folder.data.glob("*.parquet"))}


def _weights(base: Path) -> list[Path]:
    return sorted(path for path in base.iterdir() if _WEIGHTS.fullmatch(path.name))


def _identity(path: Path) -> str:
    """The sha256 of a file. The hub cache names its blobs by it, which saves reading them."""
    blob = path.resolve().name
    return blob if path.is_symlink() and _BLOB.fullmatch(blob) else sha256(path)
