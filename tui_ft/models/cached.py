"""Models that are on this machine already: the hub cache, read from disk, and tui-ft's own.

The cache's layout is huggingface_hub's: `models--owner--name/refs/<branch>` holds a commit,
`snapshots/<commit>/` its files. Reading it needs no network and no hub client.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tui_ft.errors import InputError
from tui_ft.models.reading import read_object
from tui_ft.settings import Home, hub_cache

SHARD_INDEX = "model.safetensors.index.json"
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One revision of a hub model as it lies in the cache."""

    id: str  # owner/name
    commit: str
    folder: Path

    @property
    def usable(self) -> bool:
        """It can be trained: config, tokenizer and safetensors weights are there."""
        return usable(self.folder)


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model on this machine that can be trained at once."""

    id: str  # what to put into a recipe: owner/name for the cache, else the name of the folder
    folder: Path
    weight_bytes: int
    prepared: bool  # made by tui-ft, not fetched from the hub


def snapshot(model_id: str, revision: str = "", *, cache: Path | None = None) -> Snapshot | None:
    """The cached revision of a hub model, None when it isn't cached.

    `revision` is a branch, a tag or a full commit; without one it is what `main` pointed to when it was
    last fetched, else the newest there is.
    """
    repo = (cache or hub_cache()) / f"models--{model_id.replace('/', '--')}"
    snapshots = repo / "snapshots"
    commit: str | None
    if _COMMIT.fullmatch(revision):
        commit = revision
    else:
        commit = _ref(repo, revision or "main")
        if commit is None and not revision:
            commit = _newest(snapshots)
    if commit is None or not (snapshots / commit).is_dir():
        return None
    return Snapshot(model_id, commit, snapshots / commit)


def cached_ids(*, cache: Path | None = None) -> list[str]:
    """Ids of all models in the hub cache, usable or not, in alphabetical order."""
    folders = _entries(cache or hub_cache())
    prefix = "models--"
    return [
        folder.name.removeprefix(prefix).replace("--", "/", 1)
        for folder in folders
        if folder.name.startswith(prefix)
    ]


def local_models(home: Home, *, cache: Path | None = None) -> list[LocalModel]:
    """Every model that can be trained without fetching anything: tui-ft's own first, then the cache."""
    own = [
        LocalModel(folder.name, folder, weight_bytes(folder), prepared=True)
        for folder in _entries(home.models)
        if not folder.name.startswith(".") and usable(folder)
    ]
    found = (snapshot(model_id, cache=cache) for model_id in cached_ids(cache=cache))
    cached = [
        LocalModel(item.id, item.folder, weight_bytes(item.folder), prepared=False)
        for item in found
        if item is not None and item.usable
    ]
    return own + cached


def usable(folder: Path) -> bool:
    """A folder with config, tokenizer and all of its weights."""
    return complete(folder) and (folder / "tokenizer.json").is_file()


def complete(folder: Path) -> bool:
    """A folder with config and safetensors weights; every shard an index names is there."""
    return (folder / "config.json").is_file() and bool(weight_files(folder)) and not missing_shards(folder)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of the model itself; adapters and consolidated copies are left out."""
    return sorted(
        path
        for path in folder.glob("*.safetensors")
        if not path.name.startswith(("adapter_", "consolidated", ".")) and path.exists()
    )


def weight_bytes(folder: Path) -> int:
    """Size of the weight files."""
    return sum(path.stat().st_size for path in weight_files(folder))


def missing_shards(folder: Path) -> list[str]:
    """Names of weight files that the index lists and the folder lacks."""
    return [name for name in shard_names(folder) if not (folder / name).exists()]


def shard_names(folder: Path) -> list[str]:
    """The weight files that the folder's index names; none without an index.

    Raises InputError when the index is damaged or names files outside the folder.
    """
    path = folder / SHARD_INDEX
    index = read_object(path)
    listed = index.get("weight_map", {} if not index else None)
    if not isinstance(listed, dict):
        raise InputError("names no weight files", where=str(path), fix="Fetch the model again.")
    names = sorted({str(name) for name in listed.values()})
    if any(Path(name).name != name for name in names):
        raise InputError("names files outside its folder", where=str(path), fix="Fetch the model again.")
    return names


def _ref(repo: Path, name: str) -> str | None:
    """The commit a branch or tag stands for. A name from outside must not leave the folder."""
    if ".." in Path(name).parts or Path(name).is_absolute():
        return None
    try:
        return (repo / "refs" / name).read_text().strip() or None
    except OSError:
        return None


def _newest(snapshots: Path) -> str | None:
    folders = _entries(snapshots)
    return max(folders, key=lambda folder: folder.stat().st_mtime).name if folders else None


def _entries(folder: Path) -> list[Path]:
    """The folders inside, in alphabetical order; none when it doesn't exist or may not be read."""
    try:
        return sorted(entry for entry in folder.iterdir() if entry.is_dir())
    except OSError:
        return []
