"""Checkpoints as folders that are whole or not there: hashed, synced, renamed; never half.

What is inside them is training's business. Here they are sealed, listed, verified and pruned.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tui_ft.files import disk_problem, sha256, sync_folder, write_json
from tui_ft.runs.folder import RunFolder

MANIFEST = "manifest.json"

_NAME = re.compile(r"step-(\d+)")
_UNFINISHED = ".saving-"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A sealed checkpoint. `eval_loss` is None when it was not evaluated at that step."""

    step: int
    path: Path
    time: float
    reason: str
    eval_loss: float | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Search:
    """What a search for something to resume from found."""

    newest: Checkpoint | None
    torn: tuple[tuple[str, str], ...] = ()  # (name, what is wrong with it)


def temporary(folder: RunFolder, step: int) -> Path:
    """A fresh folder to write the checkpoint of `step` into, on the same file system as its end place."""
    path = folder.checkpoints / f"{_UNFINISHED}step-{step}-{os.getpid()}"
    try:
        folder.checkpoints.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
    except OSError as error:
        raise disk_problem(error, path) from error
    return path


def seal(
    folder: RunFolder, unfinished: Path, step: int, *, reason: str, eval_loss: float | None = None
) -> Checkpoint:
    """Turn a written folder into `checkpoints/step-N`: hash, sync, manifest, rename, sync.

    A whole checkpoint that is already there for that step stays, and this one is dropped: replacing it
    would leave a moment without any. Raises EnvironmentProblem when the disk refuses; then nothing has
    changed.
    """
    final = folder.checkpoints / f"step-{step}"
    there = _read(final)
    if there is not None and not verify(final):
        shutil.rmtree(unfinished, ignore_errors=True)
        return there
    try:
        files = sorted(path for path in unfinished.rglob("*") if path.is_file())
        entries = {}
        for path in files:
            with path.open("rb") as file:
                os.fsync(file.fileno())
            entries[str(path.relative_to(unfinished))] = {
                "bytes": path.stat().st_size,
                "sha256": sha256(path),
            }
        for inner in {path.parent for path in files}:
            sync_folder(inner)
        write_json(
            unfinished / MANIFEST,
            {"step": step, "time": time.time(), "reason": reason, "eval_loss": eval_loss, "files": entries},
        )
        if final.exists():
            shutil.rmtree(final)
        unfinished.replace(final)
        sync_folder(folder.checkpoints)
    except OSError as error:
        raise disk_problem(error, unfinished) from error
    sealed = _read(final)
    if sealed is None:
        raise disk_problem(OSError("the checkpoint vanished after it was written"), final)
    return sealed


def listed(folder: RunFolder) -> list[Checkpoint]:
    """Checkpoints whose manifest is readable and whose files have the right sizes, oldest first.

    Cheap: contents are not hashed. Ordered by step, which survives copying; times need not.
    """
    try:
        paths = [path for path in folder.checkpoints.iterdir() if _NAME.fullmatch(path.name)]
    except OSError:
        return []
    found = [sealed for path in paths if (sealed := _read(path)) and not _wrong_sizes(path)]
    return sorted(found, key=lambda checkpoint: checkpoint.step)


def find_newest(folder: RunFolder) -> Search:
    """The newest checkpoint whose every byte is as it was written, and the ones passed over for damage."""
    try:
        names = [match for path in folder.checkpoints.iterdir() if (match := _NAME.fullmatch(path.name))]
    except OSError:
        return Search(None)
    torn: list[tuple[str, str]] = []
    for match in sorted(names, key=lambda match: int(match[1]), reverse=True):
        path = folder.checkpoints / match[0]
        damage = verify(path)
        sealed = _read(path)
        if not damage and sealed is not None:
            return Search(sealed, tuple(torn))
        torn.append((path.name, damage or "its manifest cannot be read"))
    return Search(None, tuple(torn))


def verify(path: Path) -> str:
    """What is wrong with this checkpoint, in words; "" when every file is whole."""
    entries = _entries(path)
    if entries is None:
        return "it has no readable manifest"
    wrong = _wrong_sizes(path)
    if wrong:
        return wrong
    for name, entry in entries.items():
        try:
            if sha256(path / name) != entry["sha256"]:
                return f"{name} has changed since it was written"
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}"
    return ""


def set_aside(folder: RunFolder, name: str, *, as_: Literal["torn", "left"] = "torn") -> Path:
    """Rename a checkpoint so that nothing goes on from it; returns its new path.

    `torn` is one that is damaged, `left` one on a way that the run has turned back from.
    """
    path = folder.checkpoints / name
    aside = folder.checkpoints / f"{as_}-{name}-{time.time_ns()}"
    try:
        path.replace(aside)
    except OSError as error:
        raise disk_problem(error, path) from error
    return aside


def sweep(folder: RunFolder) -> None:
    """Remove what an interrupted save left behind."""
    for path in folder.checkpoints.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(path, ignore_errors=True)


def prune(folder: RunFolder, *, keep: int, best_step: int | None) -> list[int]:
    """Remove the oldest checkpoints beyond `keep`, never the best one. Returns the removed steps."""
    others = [sealed for sealed in listed(folder) if sealed.step != best_step]
    removed = []
    for sealed in others[: max(0, len(others) - keep)]:
        # Under another name first, so that a kill half-way leaves no checkpoint with files missing.
        doomed = folder.checkpoints / f"{_UNFINISHED}{sealed.path.name}-old"
        with contextlib.suppress(OSError):
            sealed.path.replace(doomed)
            shutil.rmtree(doomed, ignore_errors=True)
            removed.append(sealed.step)
    return removed


def _manifest(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _entries(path: Path) -> dict[str, dict[str, Any]] | None:
    document = _manifest(path)
    files = document.get("files") if document else None
    if not isinstance(files, dict) or not files:
        return None
    whole = all(isinstance(entry, dict) and {"bytes", "sha256"} <= entry.keys() for entry in files.values())
    return files if whole else None


def _wrong_sizes(path: Path) -> str:
    for name, entry in (_entries(path) or {}).items():
        try:
            found = (path / name).stat().st_size
        except OSError:
            return f"{name} is missing"
        if found != entry["bytes"]:
            return f"{name} has {found} of {entry['bytes']} bytes"
    return ""


def _read(path: Path) -> Checkpoint | None:
    document, entries = _manifest(path), _entries(path)
    if document is None or entries is None:
        return None
    loss = document.get("eval_loss")
    try:
        return Checkpoint(
            int(document["step"]),
            path,
            float(document["time"]),
            str(document.get("reason", "")),
            loss if isinstance(loss, int | float) else None,
            sum(int(entry["bytes"]) for entry in entries.values()),
        )
    except (KeyError, TypeError, ValueError):
        return None
