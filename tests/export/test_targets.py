"""Names of exports, and refusals before a process is started."""

from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import get_args

import pytest

from tests.tuned_run import make_run, write_adapter
from tui_ft.errors import EnvironmentProblem, InputError
from tui_ft.export.targets import TARGETS, check, folder_name, gguf, parse, quantisation
from tui_ft.recipe import Export
from tui_ft.runs.folder import RunFolder


@pytest.fixture
def run(tmp_path: Path, tiny: Path) -> RunFolder:
    folder = make_run(tmp_path, tiny)
    write_adapter(folder.adapter, tiny)
    return folder


def test_each_once_and_in_the_order_they_are_made() -> None:
    assert parse(["vllm", "gguf", "MERGED", "gguf:q4_k_m", "ollama"]) == (
        "merged",
        "gguf:q4_k_m",
        "ollama",
        "vllm",
    )


def test_the_recipe_knows_the_same_names() -> None:
    listed = Export.model_fields["to"].annotation
    assert get_args(get_args(listed)[0]) == TARGETS


def test_a_wrong_name_gets_the_nearest() -> None:
    with pytest.raises(InputError, match="no export format 'ggfu'") as caught:
        parse(["ggfu"])
    assert caught.value.fix == "Did you mean gguf?"
    with pytest.raises(InputError, match="no export format was named"):
        parse([])


def test_quantisations() -> None:
    assert [quantisation(target) for target in TARGETS] == [None, "f16", "q8_0", "q4_k_m", None, None, None]
    assert gguf("q8_0") == "gguf:q8_0"
    assert folder_name("gguf:q8_0") == "gguf-q8_0"


def test_a_run_without_weights(tmp_path: Path, tiny: Path) -> None:
    with pytest.raises(InputError, match="no trained weights yet"):
        check(["merged"], make_run(tmp_path, tiny))


def test_gguf_without_its_packages(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "cyllama" else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    for target in ("gguf:q8_0", "ollama"):
        with pytest.raises(EnvironmentProblem, match="not installed: cyllama") as caught:
            check(parse([target]), run)
        assert "tui-ft[gguf]" in caught.value.fix
    check(["merged", "vllm"], run)


def test_the_hub_needs_a_token_and_is_not_built_yet(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EnvironmentProblem, match="no Hugging Face token"):
        check(["hub"], run)
    monkeypatch.setenv("HF_TOKEN", "hf_not_a_real_token")
    with pytest.raises(EnvironmentProblem, match="not built yet") as caught:
        check(["hub"], run)
    assert "hf_not_a_real_token" not in str(caught.value)
