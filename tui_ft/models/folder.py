"""A model folder on this machine: what is in it, or what exactly is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from tui_ft.errors import InputError
from tui_ft.models import config as configs
from tui_ft.models import headers
from tui_ft.models.cached import SHARD_INDEX, weight_files
from tui_ft.models.facts import Dims, ModelFacts
from tui_ft.models.headers import Weights
from tui_ft.models.reading import load_templates, read_object
from tui_ft.text import excerpt, nearest

PICKLES = (".bin", ".pt", ".pth", ".ckpt")
_CARD_HEAD = 8192  # the front matter of a model card is at its beginning
_LICENCE = re.compile(r"^license:[ \t]*['\"]?([\w.+-]+)", re.MULTILINE)
_LICENCE_NAME = re.compile(r"^license_name:[ \t]*['\"]?([\w.+-]+)", re.MULTILINE)


def read_local(model_id: str, folder: Path) -> ModelFacts:
    """The facts of a folder that the user named. One with config.json alone is enough to plan for.

    Raises InputError when it isn't there, holds no model, or its weights are damaged or pickled.
    """
    names = check(folder)
    weights = headers.read_folder(folder) if _holds_weights(folder, names) else None
    return read(model_id, folder, source="folder", weights=weights)


def is_folder(path: Path) -> bool:
    """True for an existing folder; False for anything else, such as a name too long to exist."""
    try:
        return path.is_dir()
    except OSError:
        return False


def check(folder: Path) -> set[str]:
    """The names in a model folder. Raises InputError when it has no config.json, or pickles for weights."""
    if not is_folder(folder):
        raise _not_a_folder(folder)
    try:
        names = {entry.name for entry in folder.iterdir()}
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(folder)) from None
    if "config.json" not in names:
        raise no_config(names, str(folder))
    if not _holds_weights(folder, names) and any(name.endswith((*PICKLES, ".gguf")) for name in names):
        raise no_weights(names, str(folder))
    return names


def _holds_weights(folder: Path, names: set[str]) -> bool:
    return bool(weight_files(folder)) or SHARD_INDEX in names


def read(
    model_id: str,
    folder: Path,
    *,
    source: Literal["folder", "cache", "hub", "built-in"],
    revision: str | None = None,
    weights: Weights | None = None,
    licence: str | None = None,
    gated: bool | None = None,
) -> ModelFacts:
    """The facts from the small files of `folder` and the headers in `weights`, which may lie elsewhere.

    Raises InputError for a damaged config or a model that doesn't write text.
    """
    config = read_object(folder / "config.json")
    if not configs.writes_text(config):
        raise InputError(
            f"this model does not write text: it is a {excerpt(configs.architecture(config))}",
            where=model_id,
            fix="Choose a language model; the ones for chat are often called instruct or chat.",
        )
    sizes = _sizes(config, weights)
    exact = weights.parameters(tied=sizes is not None and sizes.tied) if weights else None
    quantized = configs.quantisation(config) or ("unknown" if weights and weights.packed else None)
    if quantized is not None:
        exact = None
    facts = ModelFacts(
        id=model_id,
        folder=folder,
        revision=revision,
        source=source,
        model_type=excerpt(configs.model_type(config)),
        architecture=excerpt(configs.architecture(config)),
        dims=sizes,
        parameters=exact if exact is not None else configs.count_parameters(config),
        parameters_exact=exact is not None,
        weight_bytes=weights.file_bytes if weights else None,
        dtype=weights.dtype if weights else None,
        context_length=configs.context_length(config),
        chat_template=load_templates(folder, read_object(folder / "tokenizer_config.json")).get("default"),
        licence=licence or _licence(folder),
        gated=gated,
        quantized=quantized,
        needs_remote_code=configs.needs_remote_code(config),
        config=config,
    )
    return replace(facts, notes=_notes(facts))


def no_config(names: set[str], where: str) -> InputError:
    """Why there is no config.json among `names`, and what to take instead."""
    if "adapter_config.json" in names:
        return InputError(
            "this is an adapter, not a model",
            where=where,
            fix="Name the base model it was trained on; adapter_config.json says which.",
        )
    if any(name.endswith(".gguf") for name in names):
        return InputError(
            "GGUF files are made for running a model and cannot be trained",
            where=where,
            fix="Take the original model that this file was made from.",
        )
    if "model_index.json" in names:
        return InputError(
            "this is an image model", where=where, fix="Choose a language model; tui-ft trains only those."
        )
    return InputError(
        "there is no config.json here, so this is no model",
        where=where,
        fix="A model folder holds config.json, tokenizer.json and *.safetensors.",
    )


def no_weights(names: set[str], where: str) -> InputError:
    """Why there are no safetensors among `names`, and the way out."""
    if any(name.endswith(PICKLES) for name in names):
        return InputError(
            "the weights are pickle files (.bin, .pt), which can run code when they are opened",
            where=where,
            fix="Look for a safetensors version. If you trust the author, convert once: python -c "
            f"\"from transformers import AutoModelForCausalLM as M; M.from_pretrained('{where}')"
            ".save_pretrained('converted')\" and copy the tokenizer files beside it.",
        )
    if any(name.endswith(".gguf") for name in names):
        return no_config(names, where)
    return InputError(
        "there are no weights here",
        where=where,
        fix="Copy the *.safetensors files of the model into this folder.",
    )


def _sizes(config: Mapping[str, Any], weights: Weights | None) -> Dims | None:
    """The sizes; for an architecture known by name only, the weights tell whether the head is tied."""
    sizes = configs.dims(config)
    if sizes is None or weights is None or not sizes.approximate or weights.packed:
        return sizes
    return replace(sizes, tied=not weights.has_head)


def _notes(facts: ModelFacts) -> tuple[str, ...]:
    notes = []
    if facts.source == "folder" and facts.weight_bytes is None:
        notes.append("There are no weights in this folder: it can be planned for, not trained.")
    if facts.quantized is not None:
        notes.append(f"The stored weights are quantised ({excerpt(facts.quantized)}).")
    if not facts.parameters_exact and facts.parameters is not None:
        notes.append("The number of parameters is counted from the config, not from the weights.")
    if facts.dims is None:
        notes.append("The config does not give the sizes under names tui-ft knows: memory cannot be planned.")
    elif facts.dims.approximate:
        notes.append(f"tui-ft does not know {facts.model_type} in detail: memory is a rough estimate.")
    if not facts.needs_remote_code and facts.model_type not in configs.causal_lm_types():
        notes.append(
            f"transformers {configs.transformers_version()} does not list the architecture "
            f"{facts.model_type!r}: loading it may need a newer version."
        )
    return tuple(notes)


def _licence(folder: Path) -> str | None:
    """The licence that the model card names."""
    try:
        with (folder / "README.md").open(encoding="utf-8", errors="replace") as file:
            head = file.read(_CARD_HEAD)
    except OSError:
        return None
    if not head.startswith("---"):
        return None
    matter = head[3:].partition("\n---")[0]
    found = _LICENCE.search(matter)
    if found and found[1] == "other":
        found = _LICENCE_NAME.search(matter) or found
    return found[1] if found else None


def _not_a_folder(path: Path) -> InputError:
    try:
        exists = path.exists()
        beside = [entry.name for entry in path.parent.iterdir() if entry.is_dir()]
    except OSError:
        exists, beside = False, []
    if not exists:
        close = nearest(path.name, beside, count=1)
        fix = f"Did you mean {path.parent / close[0]}?" if close else "Check the path."
        return InputError("there is no such folder", where=excerpt(str(path), 200), fix=fix)
    if path.suffix == ".gguf":
        return no_config({path.name}, str(path))
    if path.suffix in PICKLES:
        return no_weights({path.name}, str(path))
    return InputError(
        "this is a file; a model is a folder",
        where=str(path),
        fix=f"Name the folder it is in: {path.parent}",
    )
