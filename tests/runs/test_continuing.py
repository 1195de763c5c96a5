"""Going on from an adapter: which one, and whether it belongs to the recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_model import make
from tui_ft import recipe as recipes
from tui_ft.errors import InputError
from tui_ft.models.facts import ModelFacts
from tui_ft.models.folder import read_local
from tui_ft.recipe import Recipe
from tui_ft.runs.continuing import CONFIG, WEIGHTS, locate, read, settled
from tui_ft.runs.folder import RunFolder
from tui_ft.settings import Home


@pytest.fixture
def model(tmp_path: Path) -> ModelFacts:
    folder = make(tmp_path / "smol")
    return read_local(str(folder), folder)


def write_adapter(folder: Path, base: str, **changes: Any) -> Path:
    folder.mkdir(parents=True)
    said = {
        "peft_type": "LORA",
        "r": 16,
        "lora_alpha": 32,
        "target_modules": ["v_proj", "q_proj"],
        "use_rslora": False,
        "use_dora": False,
        "base_model_name_or_path": base,
    }
    (folder / CONFIG).write_text(json.dumps(said | changes))
    (folder / WEIGHTS).write_bytes(b"")
    return folder


def recipe(model: ModelFacts, **method: Any) -> Recipe:
    return recipes.parse({"model": {"id": model.id}, "data": {"path": "a.jsonl"}, "method": method})


def test_the_adapter_settles_rank_and_modules(tmp_path: Path, home: Home, model: ModelFacts) -> None:
    folder = write_adapter(tmp_path / "adapter", model.id, use_rslora=True)
    found = settled(recipe(model, continue_from="adapter"), tmp_path, home, model).method
    assert (found.rank, found.alpha, found.targets, found.rslora) == (16, 32, ["q_proj", "v_proj"], True)
    assert found.continue_from == str(folder)
    assert found.name is None


def test_a_recipe_without_it_stays_as_it_is(tmp_path: Path, home: Home, model: ModelFacts) -> None:
    given = recipe(model, rank=8)
    assert settled(given, tmp_path, home, model) is given


def test_dora_goes_on_as_dora(tmp_path: Path, home: Home, model: ModelFacts) -> None:
    write_adapter(tmp_path / "adapter", model.id, use_dora=True)
    assert settled(recipe(model, continue_from="adapter"), tmp_path, home, model).method.name == "dora"


def test_a_run_is_found_by_name(home: Home, run: RunFolder, model: ModelFacts, tmp_path: Path) -> None:
    folder = write_adapter(run.adapter, model.id)
    assert locate(run.id[:12], tmp_path, home) == folder
    assert locate(str(run.path), tmp_path, home) == folder


def test_every_difference_is_named(tmp_path: Path, home: Home, model: ModelFacts) -> None:
    write_adapter(tmp_path / "adapter", "/elsewhere/another-model")
    pinned = recipe(
        model, continue_from="adapter", rank=8, alpha=16, targets=["q_proj"], rslora=True, name="dora"
    )
    with pytest.raises(InputError) as caught:
        settled(pinned, tmp_path, home, model)
    assert [problem.where for problem in caught.value.problems] == [
        "model.id", "method.name", "method.rank", "method.alpha", "method.rslora", "method.targets",
    ]  # fmt: skip
    assert caught.value.problems[2].what == "the adapter has 16, the recipe 8"
    with pytest.raises(InputError, match="full training has no adapter"):
        settled(recipe(model, continue_from="adapter", name="full"), tmp_path, home, model)


@pytest.mark.parametrize(
    ("base", "fits"),
    [
        ("", True),
        ("/hub/models--someone--smol/snapshots/" + "0" * 40, True),
        ("someone/SMOL", True),
        ("someone/smol-instruct", False),
    ],
)
def test_bases_are_compared_by_name(
    tmp_path: Path, home: Home, model: ModelFacts, base: str, fits: bool
) -> None:
    write_adapter(tmp_path / "adapter", base)
    given = recipe(model, continue_from="adapter")
    if fits:
        assert settled(given, tmp_path, home, model).method.rank == 16
    else:
        with pytest.raises(InputError, match="no other"):
            settled(given, tmp_path, home, model)


def test_what_is_no_adapter_is_refused(tmp_path: Path, home: Home, run: RunFolder) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        locate("./nowhere", tmp_path, home)
    with pytest.raises(InputError, match="there is no adapter in"):
        locate(run.id, tmp_path, home)
    make(run.model)
    with pytest.raises(InputError, match="every weight of that run was trained"):
        locate(run.id, tmp_path, home)
    with pytest.raises(InputError, match="PREFIX_TUNING, not LoRA"):
        read(write_adapter(tmp_path / "other", "", peft_type="PREFIX_TUNING"))
    broken = write_adapter(tmp_path / "broken", "")
    (broken / CONFIG).write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        read(broken)
