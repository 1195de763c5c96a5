"""Pages that are drawn from the code are up to date."""

from __future__ import annotations

import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def test_the_reference_of_the_recipe_is_drawn_from_its_declarations() -> None:
    spec = importlib.util.spec_from_file_location("reference", DOCS / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    drawn = module.reference()
    assert (DOCS / "recipe.md").read_text(encoding="utf-8") == drawn, "python docs/reference.py"
