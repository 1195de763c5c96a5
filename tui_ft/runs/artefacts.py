"""What a run has made so far, as found on the disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tui_ft.runs import checkpoints
from tui_ft.runs.folder import RunFolder


@dataclass(frozen=True, slots=True)
class Artefact:
    """Something the run made. `path` is absolute."""

    kind: Literal["adapter", "model", "checkpoint", "evaluation", "export"]
    path: str
    bytes: int
    step: int | None = None


def artefacts(folder: RunFolder) -> tuple[Artefact, ...]:
    """What is there now: adapter or model, whole checkpoints, evaluation, exports."""
    found: list[Artefact] = []
    if (folder.adapter / "adapter_config.json").is_file():
        found.append(Artefact("adapter", str(folder.adapter), _size(folder.adapter)))
    if (folder.model / "config.json").is_file():
        found.append(Artefact("model", str(folder.model), _size(folder.model)))
    found += [
        Artefact("checkpoint", str(sealed.path), sealed.size_bytes, sealed.step)
        for sealed in checkpoints.listed(folder)
    ]
    if (folder.evaluation / "report.json").is_file():
        found.append(Artefact("evaluation", str(folder.evaluation), _size(folder.evaluation)))
    found += [Artefact("export", str(path), _size(path)) for path in _children(folder.exports)]
    return tuple(found)


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return []


def _size(path: Path) -> int:
    try:
        if path.is_file():
            return path.stat().st_size
        return sum(inner.stat().st_size for inner in path.rglob("*") if inner.is_file())
    except OSError:
        return 0
