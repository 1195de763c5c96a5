"""Datasets on the Hugging Face hub: which of their files hold training rows, fetched or out of the cache."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tui_ft.data.kinds import Kind, kind_by_name, split_of
from tui_ft.errors import EnvironmentProblem, InputError, TuiFtError
from tui_ft.models.hub_errors import endpoint
from tui_ft.settings import hub_cache
from tui_ft.text import nearest

_ID = re.compile(r"hub:(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w.-]+))?(?:/(?P<inside>.+))?")
_SHARD = re.compile(r"-of-(\d+)")
_PATIENCE_S = 10.0
# The same rows are often there in several forms; the first of these is taken.
_PREFERRED: tuple[Kind, ...] = ("parquet", "jsonl", "json", "csv", "tsv", "arrow", "text")


@dataclass(frozen=True, slots=True)
class HubData:
    """A dataset on the hub: `hub:owner/name[@revision][/file or folder inside]`."""

    repo: str
    revision: str
    inside: str


def parse_id(given: str) -> HubData:
    """The parts of a hub id. Raises InputError when it is not of the form hub:owner/name."""
    match = _ID.fullmatch(given)
    if not match:
        raise InputError(
            "this is not a dataset of the hub",
            where=given,
            fix="Write hub:owner/name, and hub:owner/name/file.parquet for one file of it.",
        )
    return HubData(match["repo"], match["revision"] or "main", (match["inside"] or "").strip("/"))


def fetch(given: str) -> list[tuple[Path, str]]:
    """The training files of a hub dataset as (file, name to show), downloaded unless cached.

    Raises InputError for a wrong id, EnvironmentProblem when the hub is needed and cannot be reached.
    """
    wanted = parse_id(given)
    snapshot = _download(wanted, given)
    names = [str(path.relative_to(snapshot)) for path in sorted(snapshot.rglob("*")) if path.is_file()]
    chosen = choose(names, wanted.inside, given)
    return [(snapshot / name, f"hub:{wanted.repo}/{name}") for name in chosen]


def choose(names: Sequence[str], inside: str, given: str) -> list[str]:
    """The files of a dataset that hold training rows, out of all its file names.

    `inside` is one of them or a folder; without it test and validation files are left out.
    Raises InputError when there are none, or several subsets to choose from.
    """
    within = [name for name in names if not inside or name == inside or name.startswith(f"{inside}/")]
    if inside and not within:
        close = nearest(inside, [*names, *{str(PurePosixPath(name).parent) for name in names}])
        fix = f"Did you mean {' or '.join(close)}?" if close else ""
        raise InputError(f"the dataset has no {inside}", where=given, fix=fix)
    kinds = {name: kind for name in within if (kind := kind_by_name(name)) and not name.startswith(".")}
    kind = next((kind for kind in _PREFERRED if kind in kinds.values()), None)
    if kind is None:
        raise InputError(
            "the dataset has no files that can be read",
            where=given,
            fix="Datasets that are made by a script have to be exported to Parquet first.",
        )
    files = [name for name in kinds if kinds[name] == kind]
    if inside not in files:
        splits = {name: split_of(PurePosixPath(name)) for name in files}
        if "train" in splits.values():
            files = [name for name in files if splits[name] == "train"]
    subsets = sorted({str(PurePosixPath(name).parent) for name in files})
    if len(subsets) > 1:
        raise InputError(
            f"the dataset has several subsets: {', '.join(subsets[:8])}",
            where=given,
            fix=f"Name one, e.g. hub:{parse_id(given).repo}/{subsets[0]}",
        )
    _check_complete(files, given)
    return files


def _check_complete(files: Sequence[str], given: str) -> None:
    totals = [int(match[1]) for name in files if (match := _SHARD.search(name))]
    if totals and len(totals) < max(totals):
        raise EnvironmentProblem(
            f"only {len(totals)} of {max(totals)} files of the dataset are in the cache",
            where=given,
            fix="Run it again with a connection to the hub to fetch the rest.",
        )


def _download(wanted: HubData, given: str) -> Path:
    """The folder of the dataset, complete as far as the hub can be reached."""
    from huggingface_hub import HfApi, errors
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    hub = HfApi(endpoint=endpoint())
    try:
        # Asking for the dataset fails at once without a network; listing its files would retry for long.
        info = hub.dataset_info(wanted.repo, revision=wanted.revision, timeout=_PATIENCE_S)
        files = choose([file.rfilename for file in info.siblings or []], wanted.inside, given)
        fetched = hub.snapshot_download(
            wanted.repo,
            repo_type="dataset",
            revision=wanted.revision,
            allow_patterns=files,
            cache_dir=hub_cache(),
        )
        return Path(fetched)
    except errors.GatedRepoError:
        raise EnvironmentProblem(
            "the dataset is gated",
            where=given,
            fix=f"Accept its terms at {endpoint()}/datasets/{wanted.repo}, then `hf auth login`.",
        ) from None
    except errors.RepositoryNotFoundError:
        raise InputError(
            "the hub has no such dataset, or it is private",
            where=given,
            fix="Check the name; for a private dataset log in with `hf auth login`.",
        ) from None
    except errors.RevisionNotFoundError:
        raise InputError(f"the dataset has no revision {wanted.revision}", where=given) from None
    except TuiFtError:
        raise
    # Whatever the network does (offline mode, DNS, time-outs, a proxy's page), the cache may still have it.
    except Exception:
        return _cached(wanted, given)


def _cached(wanted: HubData, given: str) -> Path:
    folder = hub_cache() / f"datasets--{wanted.repo.replace('/', '--')}"
    reference = folder / "refs" / wanted.revision
    commit = reference.read_text().strip() if reference.is_file() else wanted.revision
    snapshot = folder / "snapshots" / commit
    if snapshot.is_dir():
        return snapshot
    raise EnvironmentProblem(
        "the hub cannot be reached, and the dataset is not in its cache",
        where=given,
        fix="Check the connection, or download the data elsewhere and give its path.",
    ) from None
