"""What the file field offers: recent data, folders, data files. Reads folders and first lines only."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tui_ft.data.kinds import compression_of, kind_by_name
from tui_ft.settings import Home
from tui_ft.text import excerpt, size

_MOST = 200
_RECENT_RUNS = 12


@dataclass(frozen=True, slots=True)
class Found:
    """A line of the list. `path` is what goes into the field; `opens` means it is a folder to look into."""

    path: str
    label: str
    detail: str
    opens: bool = False


def candidates(text: str, *, folder: Path, recent: Sequence[str] = (), demo: str = "") -> list[Found]:
    """What fits the text typed so far. `folder` is where relative paths start."""
    if text.startswith("hub:"):
        known = text.count("/") == 1 and not text.endswith("/")
        return [Found(text, text, "a data set of the hub" if known else "hub:owner/name")]
    if not text:
        start = [Found(demo, "demo", "support tickets to JSON, made for trying things out")] if demo else []
        start += [Found(path, Path(path).name, f"used before, {Path(path).parent}") for path in recent]
        return start + _entries(folder, "", "")
    head, slash, prefix = text.rpartition("/")
    inside = folder / Path(head + slash).expanduser()
    whole = (
        [Found(head or "/", "all files of this folder", "")]
        if slash and not prefix and _has_data(inside)
        else []
    )
    return whole + _entries(inside, prefix, head + slash)


def _entries(folder: Path, prefix: str, typed: str) -> list[Found]:
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name.casefold())
    except OSError:
        return []
    wanted = prefix.casefold()
    folders: list[Found] = []
    files: list[Found] = []
    for entry in entries:
        name = entry.name
        if wanted not in name.casefold() or (name.startswith(".") and not prefix.startswith(".")):
            continue
        try:
            if entry.is_dir():
                folders.append(Found(f"{typed}{name}/", f"{name}/", "", opens=True))
            elif kind_by_name(name) is not None and not _is_paper(name):
                files.append(Found(f"{typed}{name}", name, size(entry.stat().st_size)))
        except OSError:
            continue
    found = files + folders
    # What begins with the text comes before what only has it inside.
    return sorted(found, key=lambda item: not item.label.casefold().startswith(wanted))[:_MOST]


def _is_paper(name: str) -> bool:
    return name.casefold().split(".")[0] in ("readme", "license", "licence", "changelog", "contributing")


def _has_data(folder: Path) -> bool:
    return any(not item.opens for item in _entries(folder, "", ""))


def recent_data(home: Home) -> list[str]:
    """Data files of the newest runs that are still there, newest first."""
    try:
        runs = sorted(home.runs.glob("*/recipe.toml"), key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:
        return []
    paths: list[str] = []
    for path in runs[:_RECENT_RUNS]:
        try:
            given = tomllib.loads(path.read_text(encoding="utf-8")).get("data", {}).get("path", "")
        except (OSError, ValueError, AttributeError):
            continue
        first = given[0] if isinstance(given, list) and given else given
        if isinstance(first, str) and first not in paths and Path(first).exists():
            paths.append(first)
    return paths[:3]


def first_lines(path: Path, lines: int = 3) -> list[str]:
    """The start of a text file, made harmless; empty for what is no text."""
    if path.is_dir() or compression_of(path) or kind_by_name(path.name) in ("parquet", "arrow"):
        return []
    try:
        with path.open("rb") as file:
            head = file.read(4096).decode("utf-8", "replace")
    except OSError:
        return []
    return [excerpt(line, 200) for line in head.splitlines()[:lines]]
