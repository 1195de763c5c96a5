"""lock.toml: what exactly was trained, on what, with which versions. Checked again at resume."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from tui_ft import __version__
from tui_ft.errors import InputError
from tui_ft.files import sha256, write_atomically
from tui_ft.hardware import nvml
from tui_ft.recipe import Recipe
from tui_ft.runs import terms
from tui_ft.runs.folder import RunFolder
from tui_ft.runs.terms import Difference, Differs

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
    "numpy",
    "triton",
)
_WEIGHTS = re.compile(
    r".*\.safetensors(\.index\.json)?|config\.json|(tokenizer|vocab|spiece|special_tokens|added_tokens|"
    r"chat_template).*|merges\.txt"
)
_BLOB = re.compile(r"[0-9a-f]{64}")


def write(folder: RunFolder, tokenizer: Any, base: Path) -> None:
    """Record this run's ingredients. `base` is the folder of the base model's files."""
    recipe, plan = folder.read_recipe(), folder.read_plan()
    reading = nvml.read()
    document: dict[str, Any] = {
        "tui_ft": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "seed": plan.train.seed,
        "terms": terms.terms(recipe, plan),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "device": {
            "name": plan.device_name,
            "driver": reading.driver or "",
            "gpus": [gpu.name for gpu in reading.gpus if gpu.visible],
            "threads": _threads(),
        },
        "data": {
            "sources": {path: sha256(Path(path)) for path in _sources(recipe) if Path(path).is_file()},
            "prepared": _prepared(folder),
        },
        "model": {
            "id": recipe.model.id,
            "revision": recipe.model.revision or hub_commit(base),
            "files": {path.name: _identity(path) for path in _weights(base)},
            "chat_template_sha256": _template(tokenizer),
        },
    }
    write_atomically(folder.lock, tomli_w.dumps(document))


def check(folder: RunFolder, base: Path, tokenizer: Any) -> tuple[Difference, ...]:
    """Refuse to go on with anything else than the run began with: settings, rows, weights, template.

    Returns the versions of packages that changed, which may change the last digits and no more.
    Raises Differs with a table of what changed, InputError when lock.toml cannot be read.
    """
    try:
        document = tomllib.loads(folder.lock.read_text(encoding="utf-8"))
        prepared = document["data"]["prepared"]
        model = document["model"]
        files = model["files"]
        packages = document["packages"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            "cannot be read, so it is unknown what this run was trained on",
            where=str(folder.lock),
            fix=f"Start a new run with `tui-ft train {folder.recipe}`.",
        ) from None
    terms.check(folder)
    changed = _changed("data", prepared, _prepared(folder))
    changed += _changed("model", files, {path.name: _identity(path) for path in _weights(base)})
    template = model.get("chat_template_sha256")
    if template is not None and template != _template(tokenizer):
        changed.append(Difference("chat template", template[:12], _template(tokenizer)[:12]))
    if changed:
        raise Differs(changed, folder)
    now = {name: _version(name) for name in packages}
    return tuple(
        Difference(name, packages[name], now[name]) for name in packages if now[name] != packages[name]
    )


def differences(folder: RunFolder, device: str) -> tuple[Difference, ...]:
    """What a new run from this one's recipe and plan would not have as this one had it.

    `device` is the name of what it would train on. Hashes all of data and base model. Raises InputError
    when lock.toml cannot be read.
    """
    try:
        document = tomllib.loads(folder.lock.read_text(encoding="utf-8"))
        packages, then = document["packages"], document["device"]
        data, model = document["data"], document["model"]
        sources, files = data["sources"], model["files"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            "cannot be read, so it is unknown what this run was trained with", where=str(folder.lock)
        ) from None
    plan, recipe, reading = folder.read_plan(), folder.read_recipe(), nvml.read()
    pairs = [
        ("tui-ft", document.get("tui_ft"), __version__),
        ("python", document.get("python"), platform.python_version()),
        *((name, version, _version(name)) for name, version in packages.items()),
        ("device", then.get("name"), device),
        ("driver", then.get("driver"), reading.driver or ""),
        ("seed", document.get("seed"), plan.train.seed),
    ]
    found = [Difference(key, str(was), str(now)) for key, was, now in pairs if was != now]
    base = Path(plan.model_folder)
    weights = {path.name: _identity(path) for path in _weights(base)} if base.is_dir() else {}
    found += _changed("data", sources, {path: sha256(Path(path)) for path in sources if Path(path).is_file()})
    found += _changed("model", files, weights)
    locked = document.get("terms")
    changed = terms.differences(locked, terms.terms(recipe, plan)) if isinstance(locked, dict) else ()
    return (*found, *changed)


def sources_are_there(folder: RunFolder) -> bool:
    """Whether the files the rows came from can be read again; data sets of a hub can."""
    paths = _sources(folder.read_recipe())
    return all(path.startswith("hub:") or Path(path).is_file() for path in paths)


def prepared_is_locked(folder: RunFolder) -> bool:
    """Whether the prepared rows are those the run began with."""
    try:
        then = tomllib.loads(folder.lock.read_text(encoding="utf-8"))["data"]["prepared"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(then == _prepared(folder))


def _threads() -> int:
    """Threads of a processor that share a sum, which decides how it is rounded."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdigit() else os.cpu_count() or 1


def _changed(what: str, then: Mapping[str, str], now: Mapping[str, str]) -> list[Difference]:
    """Files that are gone or other ones, by the beginning of their hashes."""
    return [
        Difference(f"{what}: {name}", digest[:12], now.get(name, "")[:12])
        for name, digest in then.items()
        if now.get(name) != digest
    ]


def _template(tokenizer: Any) -> str:
    template = tokenizer.chat_template
    return hashlib.sha256(template.encode()).hexdigest() if template else ""


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
