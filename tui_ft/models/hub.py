"""Asking the model hub: facts of a model without its weights. Only configuration files are fetched.

huggingface_hub does the talking: tokens, proxies, HF_ENDPOINT, the cache.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tui_ft.errors import TuiFtError
from tui_ft.models import folder as folders
from tui_ft.models.cached import SHARD_INDEX, shard_names
from tui_ft.models.facts import ModelFacts
from tui_ft.models.headers import Tensor, Weights
from tui_ft.models.hub_errors import endpoint, explain
from tui_ft.settings import hub_cache

SMALL_FILES = (
    *("config.json", "generation_config.json", SHARD_INDEX, "README.md"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("tokenizer.model", "tekken.json", "vocab.json", "merges.txt"),
    *("chat_template.jinja", "chat_templates/*.jinja"),
)
_FIRST_ANSWER_S = 8
_PARALLEL = 8


def offline(given: bool | None = None) -> bool:
    """Whether to leave the network alone: as given, else by HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE."""
    if given is not None:
        return given
    switch = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return switch.upper() in ("1", "ON", "YES", "TRUE")


def fetch_facts(model_id: str, revision: str = "", *, known: Sequence[str] = ()) -> ModelFacts:
    """The facts of a hub model; its small files land in the hub cache, its weights stay where they are.

    `known` are ids to suggest when this one doesn't exist. Raises InputError or EnvironmentProblem.
    """
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()  # they would be drawn over the screen
    try:
        info = _api().model_info(
            model_id, revision=revision or None, files_metadata=True, timeout=_FIRST_ANSWER_S
        )
        sizes = {entry.rfilename: entry.size or 0 for entry in info.siblings or []}
        _check_names(set(sizes), model_id)
        local = _fetch_small_files(model_id, revision)
        weights = _remote_headers(model_id, info.sha or local.name, local, sizes)
    except TuiFtError:
        raise
    except Exception as error:
        raise explain(error, model_id, known=known) from error
    return folders.read(
        model_id,
        local,
        source="hub",
        revision=info.sha or local.name,
        weights=weights,
        licence=_licence(info.card_data),
        gated=bool(info.gated) if info.gated is not None else None,
    )


def _api() -> Any:
    from huggingface_hub import HfApi

    return HfApi(endpoint=endpoint())


def _check_names(names: set[str], model_id: str) -> None:
    if "config.json" not in names:
        raise folders.no_config(names, model_id)
    if not {"model.safetensors", SHARD_INDEX} & names:
        raise folders.no_weights(names, model_id)


def _fetch_small_files(model_id: str, revision: str) -> Path:
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(
            model_id,
            revision=revision or None,
            allow_patterns=list(SMALL_FILES),
            cache_dir=hub_cache(),
            endpoint=endpoint(),
        )
    )


def _remote_headers(model_id: str, commit: str, local: Path, sizes: dict[str, int]) -> Weights:
    """The weight files' headers, through range requests."""
    if "model.safetensors" in sizes:
        shards = ["model.safetensors"]
    else:
        shards = shard_names(local)
    api = _api()
    with ThreadPoolExecutor(_PARALLEL) as pool:
        parsed = list(
            pool.map(
                lambda name: api.parse_safetensors_file_metadata(model_id, name, revision=commit), shards
            )
        )
    tensors = {
        name: Tensor(found.dtype, tuple(found.shape), found.data_offsets[1] - found.data_offsets[0])
        for file in parsed
        for name, found in file.tensors.items()
    }
    return Weights(tensors, sum(sizes.get(shard, 0) for shard in shards))


def _licence(card: Any) -> str | None:
    """The licence in the model card's metadata; "other" gives way to the name it was given."""
    licence = getattr(card, "license", None)
    if licence == "other":
        licence = getattr(card, "license_name", None) or licence
    return str(licence) if licence else None
