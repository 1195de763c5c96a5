"""A home, a plan and a run to work on; no torch anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sample_plan import RECIPE, make_plan
from tui_ft import recipe as recipes
from tui_ft.planning.plan import Plan
from tui_ft.runs import folder as folders
from tui_ft.runs.folder import RunFolder
from tui_ft.settings import Home


@pytest.fixture
def plan() -> Plan:
    """The small plan."""
    return make_plan()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home."""
    return Home(tmp_path / "home")


@pytest.fixture
def run(home: Home, plan: Plan, tmp_path: Path) -> RunFolder:
    """A run that was made and not started."""
    return folders.create(home, recipes.loads(RECIPE), plan, recipe_text=RECIPE, recipe_base=tmp_path)
