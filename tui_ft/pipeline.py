"""From a recipe to a plan to a running process: the one way that wizard, command line and Python share."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tui_ft import preflight
from tui_ft import recipe as recipes
from tui_ft.data.check import check
from tui_ft.data.masks import loss_of
from tui_ft.data.rows import DatasetReport
from tui_ft.errors import EnvironmentProblem, InputError, Problem
from tui_ft.hardware.detect import detect
from tui_ft.hardware.facts import Hardware
from tui_ft.models.download import Progress, download
from tui_ft.models.facts import ModelFacts
from tui_ft.models.resolve import resolve
from tui_ft.models.tokenizer import ChatTokenizer
from tui_ft.planning import calibration, conflicts, prices
from tui_ft.planning.box import Box
from tui_ft.planning.make import make_on, measured
from tui_ft.planning.plan import Plan
from tui_ft.recipe import Recipe
from tui_ft.runs import continuing, launch, trackers
from tui_ft.runs.folder import RunFolder, create
from tui_ft.runs.limits import limits
from tui_ft.settings import Home
from tui_ft.starter_recipes import available
from tui_ft.text import gib, nearest

Say = Callable[[str], None]
"""Told what is being done, in a few words."""


@dataclass(frozen=True, slots=True)
class OpenedRecipe:
    """A recipe with the folder its paths are relative to."""

    recipe: Recipe
    base: Path
    text: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything known before a run starts."""

    recipe: Recipe
    base: Path
    hardware: Hardware
    model: ModelFacts
    tokenizer: ChatTokenizer | None
    report: DatasetReport
    plan: Plan


def recipe_path(name: str) -> Path:
    """The file of a recipe given by path, or by the name of a starter recipe. Raises InputError."""
    starters = {starter.name: starter.path for starter in available()}
    path = Path(name).expanduser()
    if path.exists():
        return path
    if name in starters:
        return starters[name]
    near = nearest(name, [*starters, *(p.name for p in _recipes_near(path))])
    raise InputError(
        f"there is no recipe at {path}",
        fix=f"Did you mean {near[0]}?" if near else "`tui-ft recipe list` shows those that ship with tui-ft.",
    )


def open_recipe(name: str, settings: Sequence[str] = ()) -> OpenedRecipe:
    """A recipe by path or starter name, with `KEY=VALUE` settings. Raises InputError listing all mistakes."""
    path = recipe_path(name)
    recipe = recipes.with_settings(recipes.load(path), settings)
    return OpenedRecipe(recipe, path.absolute().parent, path.read_text(encoding="utf-8-sig"))


def _recipes_near(path: Path) -> list[Path]:
    return sorted(path.parent.glob("*.toml")) if path.parent.is_dir() else []


def find_model(recipe: Recipe, base: Path, home: Home) -> ModelFacts:
    """The recipe's model. Raises InputError or EnvironmentProblem, each with the way out."""
    given = recipe.model.id
    looks_like_path = given.startswith((".", "~", "/")) or (base / given).is_dir()
    facts = resolve(
        recipes.resolve(given, base) if looks_like_path else given, recipe.model.revision, home=home
    )
    if facts.needs_remote_code and not recipe.model.trust_remote_code:
        raise InputError(
            f"{facts.id} needs Python code that comes with it",
            where="model.trust_remote_code",
            fix="Read that code first; set it to true only when you trust its authors.",
        )
    return facts


def prepare(
    recipe: Recipe,
    base: Path,
    home: Home,
    *,
    box: Box | None = None,
    price: float | None = None,
    say: Say = lambda _: None,
) -> Prepared:
    """Look at box, model and data, and make the plan. Changes nothing but the model cache and known prices.

    `price` is what an hour of this box costs in dollars; it is kept for the next time. The recipe's own goes
    before it, and before the one that was kept. With `box` the plan is made for that one instead.

    Raises InputError or EnvironmentProblem; findings in the data do not raise, they are in the report.
    """
    say("Looking at this box")
    hardware = detect(home)
    recipe = _priced(recipe, box.name if box else prices.box_name(hardware), home, price, say)
    say(f"Looking at {recipe.model.id}")
    model = find_model(recipe, base, home)
    recipe = continuing.settled(recipe, base, home, model)
    tokenizer = ChatTokenizer.load(model.folder) if model.folder and _can_tokenise(model) else None
    say("Reading the data")
    report = check(
        recipe.data,
        base=base,
        tokenizer=tokenizer,
        seq_len=recipe.train.seq_len,
        loss_on=loss_of(recipe.method.objective),
    )
    say("Making the plan")
    plan = make_on(box or measured(hardware, calibration.load(home)), recipe, model, report)
    return Prepared(recipe, base, hardware, model, tokenizer, report, plan)


def _priced(recipe: Recipe, box: str, home: Home, given: float | None, say: Say) -> Recipe:
    """The recipe with a price for this box, where one is known."""
    if given is not None:
        prices.remember(home, box, given)
    own, known = recipe.limits.price_per_hour, prices.known(home, box)
    if given and own and given != own:
        say(f"The recipe's own price of ${own:g} an hour is used")
    if own or known is None:
        return recipe
    return recipe.with_values({"limits.price_per_hour": known})


def _can_tokenise(model: ModelFacts) -> bool:
    """False for a folder with little more than config.json, which can be planned for all the same."""
    assert model.folder is not None
    return model.has_weights or (model.folder / "tokenizer.json").is_file()


def ready(prepared: Prepared, home: Home) -> None:
    """Raises when training must not start: data, limits, a plan that cannot fit, what would fail late."""
    blocking = [finding for finding in prepared.report.findings if finding.blocks]
    if blocking:
        raise InputError(
            [
                Problem(
                    finding.what,
                    f"{finding.examples[0].file}:{finding.examples[0].line}" if finding.examples else "data",
                    f'{finding.fix} To train anyway, put "{finding.id}" into [data] ignore.',
                )
                for finding in blocking
            ]
        )
    refused = conflicts.gpu_only(prepared.recipe, prepared.plan.device)
    if refused:
        raise InputError(refused)
    limits(prepared.recipe.limits, began=time.time())
    trackers.check(prepared.recipe)
    if prepared.plan.fits == "wont_fit":
        ways_out = [step.words for step in prepared.plan.relief] or ["Choose a smaller model or more memory."]
        needed, there = gib(prepared.plan.memory.peak_bytes), gib(prepared.plan.memory_available_bytes)
        raise EnvironmentProblem(
            f"this plan does not fit: it needs {needed} of memory, {there} are free", fix=" ".join(ways_out)
        )
    preflight.check(prepared.recipe, prepared.plan, prepared.model, prepared.base, home)


def start(prepared: Prepared, home: Home, *, progress: Progress = lambda _done, _total: None) -> RunFolder:
    """Fetch the weights if need be, make the run's folder and start its process in the background.

    Raises like `make` and `launch.start`.
    """
    folder = make(prepared, home, progress=progress)
    launch.start(folder, "train")
    return folder


def make(prepared: Prepared, home: Home, *, progress: Progress = lambda _done, _total: None) -> RunFolder:
    """Fetch the weights if need be and make the run's folder. Raises like `ready` and `download`."""
    ready(prepared, home)
    weights = download(prepared.model, progress, allow_code=prepared.recipe.model.trust_remote_code)
    return create(
        home,
        prepared.recipe,
        replace(prepared.plan, model_folder=str(weights)),
        recipe_text=recipes.dumps(prepared.recipe),
        recipe_base=prepared.base,
    )
