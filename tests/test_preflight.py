"""What would fail late is named before the start, all at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.sample_plan import RECIPE, make_plan
from tui_ft import preflight
from tui_ft import recipe as recipes
from tui_ft.errors import EnvironmentProblem
from tui_ft.export import converter
from tui_ft.models.facts import ModelFacts
from tui_ft.planning.plan import DiskNeed, Plan
from tui_ft.settings import Home

MODEL = ModelFacts(
    id="owner/name",
    folder=None,
    revision=None,
    source="hub",
    model_type="strange",
    architecture="StrangeForCausalLM",
    dims=None,
    parameters=None,
    parameters_exact=False,
    weight_bytes=None,
    dtype=None,
    context_length=None,
    chat_template=None,
    licence=None,
    gated=None,
    quantized=None,
    needs_remote_code=False,
)


def run_check(home: Home, more: str = "", plan: Plan | None = None) -> None:
    """Look at a recipe with these additions."""
    preflight.check(recipes.loads(RECIPE + more), plan or make_plan(), MODEL, home.root, home)


def problems(home: Home, more: str, plan: Plan | None = None) -> dict[str, str]:
    """Where → what, of everything that is found."""
    with pytest.raises(EnvironmentProblem) as caught:
        run_check(home, more, plan)
    assert all(found.fix for found in caught.value.problems)
    return {found.where: found.what for found in caught.value.problems}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home."""
    return Home(tmp_path / "home")


def test_nothing_is_wrong_and_nothing_is_left(home: Home) -> None:
    run_check(home)
    assert list(home.runs.iterdir()) == []


def test_everything_is_named_at_once(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.root.mkdir()
    (home.root / "schema.json").write_text("{")
    monkeypatch.setenv("PATH", "/nowhere")
    tool = converter.folder(home)
    tool.mkdir(parents=True)
    (tool / "convert_hf_to_gguf.py").write_text(
        '@ModelBase.register("LlamaForCausalLM", "MistralForCausalLM")\n'
    )
    disk = DiskNeed("/scratch", ("runs",), 50 << 30, 20 << 30, {"checkpoints": 30 << 30, "merged": 20 << 30})
    found = problems(
        home,
        '[evaluate]\nschema = "schema.json"\n[export]\nto = ["gguf:q8_0", "hub"]\n'
        f'[copies]\nto = ["{tmp_path}/none", "me@host:x", "hub:a/b", "what", "{home.runs}/in"]\n',
        replace(make_plan(), disks=(disk,)),
    )
    assert (
        found["/scratch"]
        == "50.0 GiB of disk are needed (checkpoints 30.0 GiB, merged 20.0 GiB), 20.0 GiB are free"
    )
    assert found[f"evaluate.schema: {home.root / 'schema.json'}"].startswith("is not JSON")
    assert found[f"copies.to: {tmp_path}/none"] == "there is no such folder"
    assert found["copies.to: me@host:x"] == "rsync is not installed on this box"
    assert found["copies.to: hub:a/b"] == "there is no Hugging Face token"
    assert found["copies.to"] == "'what' is no place for copies"
    assert found["export.to"] == "pushing needs a Hugging Face token, and there is none"


def test_an_architecture_that_cannot_become_gguf_is_named(home: Home) -> None:
    run_check(home, '[export]\nto = ["gguf:q8_0"]\n')  # unknown before the converter is fetched
    tool = converter.folder(home)
    tool.mkdir(parents=True)
    (tool / "convert_hf_to_gguf.py").write_text('@ModelBase.register("LlamaForCausalLM")\n')
    assert "does not know StrangeForCausalLM" in problems(home, '[export]\nto = ["gguf:q8_0"]\n')["export.to"]
    run_check(home, '[export]\nto = ["merged"]\n')


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem, match="cannot write"):
        run_check(Home(tmp_path / "file"))


def test_copies_inside_the_runs_are_none(home: Home) -> None:
    inside = home.runs / "in"
    inside.mkdir(parents=True)
    assert problems(home, f'[copies]\nto = ["{inside}"]\n') == {
        f"copies.to: {inside}": "is inside the folder of the runs themselves"
    }
