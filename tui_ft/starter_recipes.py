"""The recipes that ship with tui-ft."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StarterRecipe:
    """A recipe to start from. `title` is the first line of its head comment."""

    name: str
    title: str
    path: Path


@cache
def available() -> tuple[StarterRecipe, ...]:
    """All of them, by name."""
    folder = Path(str(files("tui_ft.recipes")))
    return tuple(StarterRecipe(path.stem, _title(path), path) for path in sorted(folder.glob("*.toml")))


def _title(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.readline().lstrip("# ").strip()
