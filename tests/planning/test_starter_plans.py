"""Every recipe that ships loads, and is planned on each kind of box."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.planning.situations import BOXES, report
from tui_ft import recipe as recipes
from tui_ft.models.catalogue import find
from tui_ft.models.facts import ModelFacts
from tui_ft.planning.fit import fit
from tui_ft.planning.make import make
from tui_ft.recipe import Recipe
from tui_ft.starter_recipes import available
from tui_ft.text import GIB

FOLDER = Path(__file__).parents[2] / "recipes"
PATHS = sorted(FOLDER.rglob("*.toml"))
SHAPES = {"cpt": "text", "dpo": "preference", "orpo": "preference", "kto": "kto"}


def facts(recipe: Recipe) -> ModelFacts:
    """The recipe's model, which is one of the catalogue."""
    found = find(recipe.model.id)
    assert found is not None
    return found.facts()


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
@pytest.mark.parametrize("box", sorted(BOXES))
def test_every_shipped_recipe_is_planned(path: Path, box: str) -> None:
    recipe = recipes.load(path)
    shape = SHAPES.get(recipe.method.objective, "messages")
    rows = report(2000, shape=shape, answers="none" if shape == "text" else "json")  # type: ignore[arg-type]
    plan = make(recipe, facts(recipe), rows, BOXES[box])
    assert plan.steps > 0
    assert plan.fits != "unknown"
    if recipe.method.name:
        assert plan.method.name == recipe.method.name


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_head_comment_says_what_it_is_what_it_needs_and_how_to_run_it(path: Path) -> None:
    head = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    text = "\n".join(head)
    assert "# Needs:" in text
    assert "# Run:" in text
    assert f"recipe new {path.stem}" in text or "tui-ft demo" in text


def test_the_listing_finds_them_all() -> None:
    listed = {starter.name: starter for starter in available()}
    assert listed.keys() == {path.stem for path in PATHS}
    assert all(starter.title and starter.path.is_file() for starter in listed.values())


@pytest.mark.parametrize(
    ("name", "method", "gib", "seq"),
    [
        ("json-extraction-lora", "lora", 16, 2048),
        ("chat-qlora-8b", "qlora", 12, 1024),
        ("chat-qlora-8b", "qlora", 24, 8192),
        ("classification-small", "lora", 4, 512),
        ("continued-pretraining", "lora", 16, 2048),
        ("full-small", "full", 12, 1024),
        ("large-model-qlora", "qlora", 48, 2048),
        ("preferences-dpo", "lora", 16, 1024),
    ],
)
def test_what_the_head_comment_says_it_needs_is_enough(name: str, method: str, gib: int, seq: int) -> None:
    recipe = recipes.load(FOLDER / f"{name}.toml")
    table = fit(facts(recipe), gib * GIB, seq=seq)
    assert next(plan.fits for plan in table.plans if plan.method == method) == "safe"
