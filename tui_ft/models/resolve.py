"""From what the user typed to the facts of a model: a folder, a cached model, the built-in one, the hub."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from tui_ft.errors import InputError
from tui_ft.models import catalogue, headers, hub, smollm2
from tui_ft.models.cached import Snapshot, cached_ids, complete, local_models, snapshot
from tui_ft.models.facts import ModelFacts
from tui_ft.models.folder import is_folder, read, read_local
from tui_ft.models.hub_errors import HubUnreachable
from tui_ft.settings import Home
from tui_ft.text import excerpt

_HUB_ID = re.compile(r"(?=.{1,96}$)[\w.-]+(/[\w.-]+)?", re.ASCII)
_TYPO = 0.9  # likeness above which an unknown name is taken for a slip of the fingers


def resolve(model_id: str, revision: str = "", *, home: Home, offline: bool | None = None) -> ModelFacts:
    """The facts of the model called `model_id`, from the nearest place that has it.

    In this order: a folder of that name; the hub cache; models tui-ft prepared (SmolLM2-135M-Instruct is
    prepared now if its package is installed); the hub, for its small files only. When the hub is out of
    reach, a model of the catalogue still has its sizes (`source` is "catalogue").

    `offline` leaves the network alone; None goes by HF_HUB_OFFLINE. Takes milliseconds for what is on this
    machine, seconds otherwise: call it off the interface's thread. Nothing here loads torch.

    Raises InputError for what the user can mend in the name or the folder, EnvironmentProblem for a
    network, an access right or a disk.
    """
    name = model_id.strip()
    if not name:
        raise InputError("no model is named", fix="Give a folder, or a hub id such as Qwen/Qwen3-0.6B.")
    path = Path(os.path.expanduser(name))  # noqa: PTH111 -- pathlib's raises for users that don't exist
    if _looks_like_a_path(name) or is_folder(path):
        return read_local(name, path.absolute())
    if not _HUB_ID.fullmatch(name) or ".." in name or "--" in name:
        raise InputError(
            f"this is neither a folder nor a hub id: {excerpt(name)}",
            fix="A hub id is owner/name, such as Qwen/Qwen3-0.6B; a folder starts with / or ./",
        )
    return _on_this_machine(name, revision, home) or _from_afar(name, revision, home, hub.offline(offline))


def known_ids(home: Home) -> list[str]:
    """Every model name that is at hand: cached, prepared and suggested ones, for pickers and typos."""
    own = [model.id for model in local_models(home) if model.prepared]
    listed = [suggestion.id for suggestion in catalogue.SUGGESTIONS]
    return list(dict.fromkeys([*cached_ids(), *own, *listed]))


def _on_this_machine(name: str, revision: str, home: Home) -> ModelFacts | None:
    demo = smollm2.names_it(name)
    found = snapshot(smollm2.HUB_ID if demo else name, revision)
    if found is not None and complete(found.folder):
        return _cached(name, found)
    if revision:
        return None
    prepared = home.models / name
    if complete(prepared):
        return _built_in(name, prepared)
    if demo and (smollm2.ready(home) or smollm2.package_file()):
        return _built_in(name, smollm2.prepare(home))
    return None


def _cached(name: str, found: Snapshot) -> ModelFacts:
    listed = catalogue.find(found.id)
    return read(
        name,
        found.folder,
        source="cache",
        revision=found.commit,
        weights=headers.read_folder(found.folder) if complete(found.folder) else None,
        licence=listed.licence if listed else None,
        gated=listed.gated if listed else None,
    )


def _built_in(name: str, folder: Path) -> ModelFacts:
    return read(name, folder, source="built-in", weights=headers.read_folder(folder), gated=False)


def _from_afar(name: str, revision: str, home: Home, offline: bool) -> ModelFacts:
    known = known_ids(home)
    listed = catalogue.find(smollm2.HUB_ID if smollm2.names_it(name) else name)
    try:
        if offline:
            raise HubUnreachable(name)
        return hub.fetch_facts(listed.id if listed else name, revision, known=known)
    except HubUnreachable:
        partial = snapshot(listed.id if listed else name, revision)
        if partial is not None and (partial.folder / "config.json").is_file():
            return _cached(name, partial)
        if listed is not None and not revision:
            return listed.facts()
        if close := _slips(name, known):
            raise InputError(
                "there is no model of this name on this machine, and the hub cannot be reached",
                where=name,
                fix=f"Did you mean {' or '.join(close)}?",
            ) from None
        raise


def _looks_like_a_path(name: str) -> bool:
    return name.startswith(("/", "./", "../", "~", ".\\")) or name in (".", "..") or name.count("/") > 1


def _slips(name: str, known: Iterable[str]) -> list[str]:
    """Known names so like this one that it can hardly mean another model."""
    by_likeness = sorted(((_likeness(name, other), other) for other in known), reverse=True)
    return [other for likeness, other in by_likeness[:2] if likeness >= _TYPO and other != name]


def _likeness(name: str, other: str) -> float:
    """0 to 1; a name typed without its owner is compared with the bare name."""
    if "/" not in name:
        other = other.rpartition("/")[2]
    return difflib.SequenceMatcher(None, name.casefold(), other.casefold()).ratio()
