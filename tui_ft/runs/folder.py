"""The folder of a run: where each file is, how a run is made, and how it is found again."""

from __future__ import annotations

import json
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tui_ft import recipe as recipes
from tui_ft.errors import EnvironmentProblem, InputError
from tui_ft.files import disk_problem, write_atomically, write_json
from tui_ft.planning.plan import Plan
from tui_ft.recipe import Recipe
from tui_ft.settings import Home
from tui_ft.text import excerpt, nearest

Job = Literal["train", "evaluate", "export"]

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}-(?P<made>\d{8}-\d{6})-[0-9a-f]{4}")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """`<home>/runs/<run id>/` and the paths inside it. Look-ups only; nothing is created."""

    path: Path

    @property
    def id(self) -> str:
        """The run id: name, date, time and four hex digits."""
        return self.path.name

    @property
    def recipe(self) -> Path:
        """The recipe as given, with absolute paths."""
        return self.path / "recipe.toml"

    @property
    def plan(self) -> Path:
        """The plan the recipe was resolved to."""
        return self.path / "plan.json"

    @property
    def lock(self) -> Path:
        """What exactly was trained, on what, with which versions."""
        return self.path / "lock.toml"

    def status(self, job: Job = "train") -> Path:
        """State and heartbeat of a job; training's is the run's own."""
        return self.path / ("status.json" if job == "train" else f"status-{job}.json")

    @property
    def alive(self) -> Path:
        """Locked for as long as a process works in this folder."""
        return self.path / "alive.lock"

    @property
    def events(self) -> Path:
        """Append-only log, one JSON object per line."""
        return self.path / "events.jsonl"

    @property
    def control(self) -> Path:
        """One small file per request to the worker."""
        return self.path / "control"

    @property
    def log(self) -> Path:
        """What the worker printed, tracebacks included."""
        return self.path / "worker.log"

    @property
    def data(self) -> Path:
        """The prepared splits."""
        return self.path / "data"

    @property
    def checkpoints(self) -> Path:
        """`step-N` folders, each complete."""
        return self.path / "checkpoints"

    @property
    def adapter(self) -> Path:
        """The trained adapter (LoRA, QLoRA, DoRA)."""
        return self.path / "adapter"

    @property
    def model(self) -> Path:
        """The trained model, when every weight was trained."""
        return self.path / "model"

    @property
    def evaluation(self) -> Path:
        """Answers and scores of base and tuned model."""
        return self.path / "evaluation"

    @property
    def exports(self) -> Path:
        """Merged models, GGUF files and serving recipes."""
        return self.path / "exports"

    def read_recipe(self) -> Recipe:
        """The run's recipe. Raises InputError when it is missing or wrong."""
        return recipes.load(self.recipe)

    def read_plan(self) -> Plan:
        """The run's plan. Raises InputError when it is missing or of another shape."""
        try:
            return Plan.from_json(json.loads(self.plan.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise InputError("this run has no plan.json", where=str(self.path)) from None
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise InputError(
                f"plan.json cannot be read: {excerpt(str(error), 80)}",
                where=str(self.plan),
                fix="Start a new run from its recipe.toml.",
            ) from None


def create(home: Home, recipe: Recipe, plan: Plan, *, recipe_text: str, recipe_base: Path) -> RunFolder:
    """Make the folder of a new run, with recipe.toml and plan.json in it.

    `recipe_text` is the file as the user wrote it; it is kept word for word, comments included, unless
    it holds paths relative to `recipe_base`, which are made absolute. No two runs share a folder, even
    when started in the same second. Raises EnvironmentProblem when the disk or the home refuses.
    """
    resolved = recipes.with_absolute_paths(recipe, recipe_base)
    folder = _new_folder(home.runs, slug(recipe.name or plan.name))
    same = recipe_text and resolved == recipe and recipes.loads(recipe_text) == recipe
    write_atomically(folder.recipe, recipe_text if same else recipes.dumps(resolved))
    write_json(folder.plan, plan.to_json())
    return folder


def slug(name: str) -> str:
    """A name that is safe as a folder: lower case, `a-z 0-9 . _ -`, at most 40 characters."""
    safe = re.sub(r"[^a-z0-9._-]+", "-", name.casefold()).strip("-._")[:40].rstrip("-._")
    return safe or "run"


def list_runs(home: Home) -> list[RunFolder]:
    """Every run, newest first. Links and folders that are not runs are left out."""
    try:
        found = [path for path in home.runs.iterdir() if _ID.fullmatch(path.name)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise EnvironmentProblem(
            f"the runs cannot be listed: {error.strerror}",
            where=str(home.runs),
            fix="Choose another with --home.",
        ) from None
    folders = [RunFolder(path) for path in found if path.is_dir() and not path.is_symlink()]
    return sorted(folders, key=lambda folder: (_made(folder), folder.id), reverse=True)


def find(home: Home, name: str) -> RunFolder:
    """The run with this id, or the only one whose id starts with `name`.

    Raises InputError naming the candidates when several match, or the nearest ids when none does.
    """
    runs = {folder.id: folder for folder in list_runs(home)}
    if name in runs:
        return runs[name]
    matches = [folder for run_id, folder in runs.items() if name and run_id.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    shown = excerpt(name, 70)
    if matches:
        listed = ", ".join(folder.id for folder in matches[:5])
        raise InputError(
            f"{len(matches)} runs start with '{shown}'",
            where=str(home.runs),
            fix=f"Give more of the id: {listed}.",
        )
    if not runs:
        raise InputError(
            f"there is no run '{shown}'; there are no runs yet",
            where=str(home.runs),
            fix="Start one with `tui-ft train RECIPE`.",
        )
    close = nearest(name, runs) or list(runs)[:3]
    raise InputError(
        f"there is no run '{shown}'", where=str(home.runs), fix=f"Did you mean {' or '.join(close)}?"
    )


def _made(folder: RunFolder) -> str:
    match = _ID.fullmatch(folder.id)
    return match["made"] if match else ""


def _new_folder(runs: Path, name: str) -> RunFolder:
    """Create the folder; making it is what reserves the id."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    try:
        runs.mkdir(parents=True, exist_ok=True)
        while True:
            path = runs / f"{name}-{stamp}-{secrets.token_hex(2)}"
            try:
                path.mkdir(mode=0o700)
            except FileExistsError:
                continue
            return RunFolder(path)
    except OSError as error:
        raise disk_problem(error, runs / name) from error
