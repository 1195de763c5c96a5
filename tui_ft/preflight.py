"""What fails late, looked at before a GPU second is paid for: folders, disks, exports, logins, copies.

Everything is named at once. What cannot be known without trying is left to the dry run.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from tui_ft.errors import EnvironmentProblem, Problem, TuiFtError
from tui_ft.export import converter
from tui_ft.models.facts import ModelFacts
from tui_ft.planning.plan import Plan
from tui_ft.recipe import Recipe, resolve
from tui_ft.runs import room
from tui_ft.runs.copy_targets import FolderTarget, HubTarget, RsyncTarget, target
from tui_ft.settings import Home
from tui_ft.text import excerpt, gib

_REGISTERED = re.compile(r"@ModelBase\.register\(([^)]*)\)")
_LOGIN = "Log in with `hf auth login`; a token that may write is needed."


def check(recipe: Recipe, plan: Plan, model: ModelFacts, base: Path, home: Home) -> None:
    """Raises EnvironmentProblem that lists everything which would fail later."""
    found = [
        *_folders(home),
        *_disks(plan),
        *_exports(recipe.export.to, model, home),
        *_schema(recipe, base),
        *_copies(recipe.copies.to, home),
    ]
    if found:
        raise EnvironmentProblem(found)


def _folders(home: Home) -> Iterator[Problem]:
    try:
        room.check_writable(home.runs)
    except TuiFtError as error:
        yield from error.problems


def _disks(plan: Plan) -> Iterator[Problem]:
    for need in plan.disks:
        if need.enough or need.free_bytes is None:
            continue
        parts = ", ".join(
            f"{name} {gib(part)}" for name, part in sorted(need.parts.items(), key=lambda part: -part[1])[:3]
        )
        yield Problem(
            f"{gib(need.needed_bytes)} of disk are needed ({parts}), {gib(need.free_bytes)} are free",
            excerpt(need.path, 60) or "disk",
            "Free some, choose another --home or HF_HOME, lower train.keep_checkpoints, or export later.",
        )


def _exports(to: Sequence[str], model: ModelFacts, home: Home) -> Iterator[Problem]:
    gguf = [name for name in to if name.startswith("gguf") or name == "ollama"]
    absent = [name for name in ("cyllama", "sentencepiece") if importlib.util.find_spec(name) is None]
    if gguf and absent:
        yield Problem(
            f"{', '.join(gguf)} needs a package that is not installed: {', '.join(absent)}",
            "export.to",
            "Install it with `pip install 'tui-ft[gguf]'`, or leave the format out and export later.",
        )
    convertible = _convertible(home) if gguf else None
    if convertible and model.architecture and model.architecture not in convertible:
        yield Problem(
            f"llama.cpp's converter does not know {excerpt(model.architecture)}: no GGUF of it can be made",
            "export.to",
            'Leave it out; "merged" works with every model.',
        )
    if "hub" in to and not _has_token():
        yield Problem("pushing needs a Hugging Face token, and there is none", "export.to", _LOGIN)


def _convertible(home: Home) -> frozenset[str] | None:
    """Architectures the converter registers; None when it has not been fetched yet."""
    if not converter.ready(home):
        return None
    names: set[str] = set()
    for path in converter.folder(home).rglob("*.py"):
        for registered in _REGISTERED.findall(path.read_text(encoding="utf-8", errors="replace")):
            names.update(re.findall(r"[\"']([A-Za-z0-9_]+)[\"']", registered))
    return frozenset(names) or None


def _schema(recipe: Recipe, base: Path) -> Iterator[Problem]:
    if not recipe.evaluate.schema_:
        return
    path = Path(resolve(recipe.evaluate.schema_, base))
    try:
        json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        yield Problem(f"cannot be read: {error.strerror}", f"evaluate.schema: {path}", "Correct the path.")
    except ValueError as error:
        yield Problem(f"is not JSON: {excerpt(str(error))}", f"evaluate.schema: {path}", "Correct the file.")


def _copies(to: Sequence[str], home: Home) -> Iterator[Problem]:
    for name in to:
        try:
            place = target(name)
        except TuiFtError as error:
            yield from error.problems
            continue
        if isinstance(place, FolderTarget):
            yield from _copy_folder(place, home)
        elif isinstance(place, RsyncTarget) and shutil.which("rsync") is None:
            yield Problem("rsync is not installed on this box", f"copies.to: {name}", "apt install rsync")
        elif isinstance(place, HubTarget) and not _has_token():
            yield Problem("there is no Hugging Face token", f"copies.to: {name}", _LOGIN)


def _copy_folder(place: FolderTarget, home: Home) -> Iterator[Problem]:
    where = f"copies.to: {place.to}"
    if not place.root.is_dir():
        yield Problem("there is no such folder", where, "Make it, or mount the disk it is on.")
        return
    try:
        room.check_writable(place.root)
    except TuiFtError as error:
        yield Problem(error.what, where, error.fix)
        return
    if home.runs in (place.root, *place.root.parents):
        yield Problem("is inside the folder of the runs themselves", where, "Choose another place.")


def _has_token() -> bool:
    from huggingface_hub import get_token

    return bool(get_token())
