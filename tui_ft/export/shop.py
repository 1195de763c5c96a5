"""The bench exports are made on: scratch folders, room on the disk, and putting things where they belong.

Nothing appears under its final name before it is whole and checked; what fails its check is set aside
under `exports/.failed/`. Light.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from tui_ft.errors import EnvironmentProblem, InputError, RunFailed
from tui_ft.export import check as checks
from tui_ft.export.check import Check
from tui_ft.export.targets import Target, folder_name
from tui_ft.files import disk_problem, sha256, sync_folder
from tui_ft.hardware.host import sample_host
from tui_ft.models.headers import read_folder
from tui_ft.models.reading import read_object
from tui_ft.runs.folder import RunFolder
from tui_ft.text import gib, size

_SPARE = 64 << 20


class Shop:
    """Where the exports of one run are made."""

    def __init__(self, folder: RunFolder) -> None:
        """Clears what an earlier, killed export left. Raises EnvironmentProblem when the folder refuses."""
        self.exports = folder.exports
        self._scratch = folder.exports / ".work"
        try:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch.mkdir(parents=True)
        except OSError as error:
            raise disk_problem(error, self._scratch) from error

    def scratch(self, name: str) -> Path:
        """An empty folder of this name, on the same file system as the exports."""
        path = self._scratch / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path

    def final(self, target: Target) -> Path:
        """Where the finished export is."""
        return self.exports / folder_name(target)

    def room(self, needed: int) -> None:
        """Raise EnvironmentProblem unless this many bytes, and a little more, are free on the disk."""
        free = shutil.disk_usage(self.exports).free
        if free < needed + _SPARE:
            raise EnvironmentProblem(
                f"this export needs {size(needed + _SPARE)} of disk, {size(free)} are free",
                where=str(self.exports),
                fix="Free some space; old checkpoints and exports of this run may be removed.",
            )

    def publish(self, target: Target, made: Path, check: Check) -> Path:
        """Give a finished folder its final name, with its check in it; returns where it is.

        What had this name before goes. Raises RunFailed when the check did not pass, after setting the
        folder aside.
        """
        checks.save(made, check)
        final = self.final(target)
        aside = self.exports / ".failed" / final.name
        try:
            for path in made.rglob("*"):
                if path.is_file():
                    with path.open("rb") as file:
                        os.fsync(file.fileno())
            if not check.passed:
                aside.parent.mkdir(exist_ok=True)
            for old in (final, aside):
                # An export that was made from other weights is no result of this run any more.
                if old.exists():
                    old.replace(self.scratch("old") / old.name)
            made.replace(final if check.passed else aside)
            sync_folder(self.exports)
        except OSError as error:
            raise disk_problem(error, final) from error
        if not check.passed:
            raise RunFailed(
                f"{target} failed its check: {check.complaint}",
                where=str(aside),
                fix="It was set aside there and should not be used; check.json has all measurements.",
            )
        return final

    def close(self) -> None:
        """Remove the scratch folders."""
        shutil.rmtree(self._scratch, ignore_errors=True)


def fingerprint(weights: Path) -> str:
    """One sha256 over the weight files of a folder, by name and content."""
    digest = hashlib.sha256()
    for path in sorted(weights.glob("*.safetensors")):
        digest.update(f"{path.name} {sha256(path)}\n".encode())
    return digest.hexdigest()


def refuse_quantised(base: Path) -> None:
    """Raise InputError for a base whose stored weights are rounded: merging into those changes answers."""
    if read_folder(base).packed or "quantization_config" in read_object(base / "config.json"):
        raise InputError(
            "the base model is stored quantised, and merging needs the original weights",
            where=str(base),
            fix="Train from the original model with method qlora; it is quantised while loading.",
        )


def free_memory() -> int:
    """Bytes of memory that are free, within the container's limit."""
    sample = sample_host()
    return max(0, sample.ram_total_bytes - sample.ram_used_bytes)


def no_memory(needed: int, free: int) -> EnvironmentProblem:
    """There is not enough memory for two copies of the model."""
    return EnvironmentProblem(
        f"merging and checking needs {gib(needed)} of memory, {gib(free)} are free",
        fix="Close other programs, or export on a machine with more memory: the run's folder can be copied.",
    )
