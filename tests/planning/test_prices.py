"""Prices of boxes: asked once, kept by name."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.planning.situations import A100, CPU
from tui_ft.errors import EnvironmentProblem, InputError
from tui_ft.planning import prices
from tui_ft.settings import Home


def test_a_price_is_kept_for_its_box_alone(tmp_path: Path) -> None:
    home = Home(tmp_path / "new")
    assert prices.known(home, "NVIDIA A100-SXM4-80GB") is None
    prices.remember(home, "NVIDIA A100-SXM4-80GB", 1.79)
    prices.remember(home, "NVIDIA L4", 0.44)
    prices.remember(home, "NVIDIA L4", 0.5)
    assert prices.known(home, "NVIDIA A100-SXM4-80GB") == 1.79
    assert prices.known(home, "NVIDIA L4") == 0.5
    assert prices.known(home, "Tesla T4") is None


def test_a_gpu_is_the_same_however_it_is_written(tmp_path: Path) -> None:
    home = Home(tmp_path)
    prices.remember(home, "NVIDIA GeForce RTX 4090", 0.44)
    assert prices.known(home, "RTX 4090") == 0.44
    assert prices.known(home, "2 x NVIDIA GeForce RTX 4090") is None


def test_zero_forgets(tmp_path: Path) -> None:
    home = Home(tmp_path)
    prices.remember(home, "box", 2)
    prices.remember(home, "box", 0)
    assert prices.known(home, "box") is None


@pytest.mark.parametrize("wrong", [-1.0, math.nan, math.inf, 10_001.0])
def test_what_is_no_price_is_refused(tmp_path: Path, wrong: float) -> None:
    with pytest.raises(InputError) as raised:
        prices.remember(Home(tmp_path), "box", wrong)
    assert "--price" in raised.value.fix
    assert not Home(tmp_path).prices.exists()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not toml [",
        "dollars_per_hour = 3",
        '[dollars_per_hour]\nbox = "3"\n',
        "[dollars_per_hour]\nbox = -1\n",
    ],
)
def test_a_damaged_file_counts_as_empty_and_is_mended(tmp_path: Path, content: str) -> None:
    home = Home(tmp_path)
    home.prices.write_text(content)
    assert prices.known(home, "box") is None
    prices.remember(home, "box", 1.5)
    assert prices.known(home, "box") == 1.5


def test_a_home_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem):
        prices.remember(Home(tmp_path / "file"), "box", 1.5)


@settings(max_examples=20)
@given(st.text(max_size=60))
def test_any_name_can_be_kept(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    home = Home(tmp_path_factory.mktemp("home"))
    prices.remember(home, name, 0.25)
    assert prices.known(home, name) == 0.25


def test_boxes_are_named_by_all_their_gpus() -> None:
    gpu = A100.gpus[0]
    assert prices.box_name(A100) == "NVIDIA A100-SXM4-80GB"
    assert prices.box_name(replace(A100, gpus=(gpu, gpu))) == "2 x NVIDIA A100-SXM4-80GB"
    mixed = replace(A100, gpus=(gpu, replace(gpu, name="NVIDIA L4")))
    assert prices.box_name(mixed) == "NVIDIA A100-SXM4-80GB + NVIDIA L4"
    assert prices.box_name(CPU) == "a processor"
