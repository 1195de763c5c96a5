"""Making runs and finding them again."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sample_plan import RECIPE, make_plan
from tui_ft import recipe as recipes
from tui_ft.errors import EnvironmentProblem, InputError
from tui_ft.files import write_json
from tui_ft.planning.plan import FitPlan, Plan, Range
from tui_ft.runs import folder as folders
from tui_ft.runs.folder import RunFolder
from tui_ft.settings import Home


def test_a_new_run_holds_recipe_and_plan(run: RunFolder, plan: Plan) -> None:
    assert re.fullmatch(r"support-json-\d{8}-\d{6}-[0-9a-f]{4}", run.id)
    assert run.recipe.read_text() == RECIPE
    assert json.loads(run.plan.read_text())["memory"]["fits"] == "safe"
    assert run.read_plan() == plan
    assert run.read_recipe().model.id == "owner/name"
    assert run.path.stat().st_mode & 0o077 == 0


def test_a_plan_survives_being_written(run: RunFolder) -> None:
    other = FitPlan(
        "qlora", 8, 64, 2, 4, True, "adamw_8bit", "bf16", 5, 6, {"weights": 5}, 0.1, "tight", ("small",)
    )
    plan = make_plan(alternatives=(other,), money=Range(0.1, 0.2), time_s=None, warnings=("short",))
    write_json(run.plan, plan.to_json())
    assert run.read_plan() == plan


def test_relative_paths_become_absolute(home: Home, tmp_path: Path) -> None:
    base = tmp_path / "recipes"
    (base / "model").mkdir(parents=True)
    (base / "model" / "config.json").write_text("{}")
    text = (
        '[model]\nid = "model"\n[data]\npath = ["a.jsonl", "hub:owner/name"]\nvalidation_path = "v.jsonl"\n'
        'mix = ["../m.jsonl"]\n[evaluate]\nschema = "s.json"\n'
    )
    made = folders.create(home, recipes.loads(text), make_plan(), recipe_text=text, recipe_base=base)
    recipe = made.read_recipe()
    assert recipe.model.id == str(base / "model")
    assert recipe.data.path == [str(base / "a.jsonl"), "hub:owner/name"]
    assert recipe.data.validation_path == str(base / "v.jsonl")
    assert [Path(path).resolve() for path in recipe.data.mix] == [tmp_path / "m.jsonl"]
    assert recipe.evaluate.schema_ == str(base / "s.json")
    assert recipe.pinned == recipes.loads(text).pinned


def test_runs_started_in_the_same_second_do_not_collide(home: Home, plan: Plan, tmp_path: Path) -> None:
    recipe = recipes.loads(RECIPE)

    def make(_: int) -> str:
        return folders.create(home, recipe, plan, recipe_text=RECIPE, recipe_base=tmp_path).id

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(make, range(40)))
    assert len(set(ids)) == 40
    assert {folder.id for folder in folders.list_runs(home)} == set(ids)


@given(st.text(max_size=80))
def test_slugs_never_leave_the_folder(name: str) -> None:
    made = folders.slug(name)
    assert re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,39}", made) or made == "run"
    assert ".." not in (Path("/runs") / made).parts


def test_newest_run_comes_first_and_strangers_are_left_out(home: Home) -> None:
    for name in ("b-20250101-000000-aaaa", "a-20260101-000000-bbbb", "not a run"):
        (home.runs / name).mkdir(parents=True)
    (home.runs / "c-20270101-000000-cccc").symlink_to(home.runs / "not a run")
    assert [folder.id for folder in folders.list_runs(home)] == [
        "a-20260101-000000-bbbb",
        "b-20250101-000000-aaaa",
    ]


def test_find_by_id_prefix_and_nearest(home: Home) -> None:
    for name in ("demo-20250101-000000-aaaa", "demo-20250102-000000-bbbb", "support-20250101-000000-cccc"):
        (home.runs / name).mkdir(parents=True)
    assert folders.find(home, "support").id == "support-20250101-000000-cccc"
    assert folders.find(home, "demo-20250102-000000-bbbb").id == "demo-20250102-000000-bbbb"
    with pytest.raises(InputError, match="2 runs start with 'demo'") as several:
        folders.find(home, "demo")
    assert "demo-20250102-000000-bbbb, demo-20250101-000000-aaaa" in several.value.fix
    with pytest.raises(InputError, match="there is no run 'suport-20250101") as none:
        folders.find(home, "suport-20250101-000000-cccc")
    assert "Did you mean support-20250101-000000-cccc" in none.value.fix


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "", "a\0b", "\x1b[2J"])
def test_odd_names_are_never_found(home: Home, name: str) -> None:
    (home.runs / "demo-20250101-000000-aaaa").mkdir(parents=True)
    with pytest.raises(InputError) as caught:
        folders.find(home, name)
    assert "\x1b" not in str(caught.value)


def test_no_runs_yet_says_how_to_start_one(home: Home) -> None:
    assert folders.list_runs(home) == []
    with pytest.raises(InputError, match="no runs yet"):
        folders.find(home, "demo")


def test_a_home_that_cannot_be_made_is_said_plainly(tmp_path: Path, plan: Plan) -> None:
    (tmp_path / "home").write_text("a file, not a folder")
    with pytest.raises(EnvironmentProblem):
        folders.create(
            Home(tmp_path / "home"), recipes.loads(RECIPE), plan, recipe_text=RECIPE, recipe_base=tmp_path
        )


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "x"}', "null"])
def test_a_broken_plan_is_an_input_error(run: RunFolder, text: str) -> None:
    run.plan.write_text(text)
    with pytest.raises(InputError, match=r"plan\.json cannot be read"):
        run.read_plan()


def test_a_missing_plan_is_an_input_error(run: RunFolder) -> None:
    run.plan.unlink()
    with pytest.raises(InputError, match=r"no plan\.json"):
        run.read_plan()
