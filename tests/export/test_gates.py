"""The check of a merge passes what is right and fails everything that can be wrong with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_model import make
from tests.tuned_run import make_run, write_adapter

pytestmark = pytest.mark.train
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def gates(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("gates")
    folder = make_run(root, tiny)
    write_adapter(folder.adapter, tiny)
    other = make(root / "other", seed=5)
    done = subprocess.run(
        [sys.executable, "-P", str(Path(__file__).with_name("gates_child.py")), str(folder.path), str(other)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", ["good", "qlora", "full"])
def test_a_right_merge_passes(gates: dict[str, Any], name: str) -> None:
    assert gates[name]["passed"], gates[name]


@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("corrupted delta", "largest error of a weight, in roundings"),
        ("one module left out", "share of adapted modules changed"),
        ("another tensor changed", "other tensors changed"),
        ("not a number", "KL(adapter || merged)"),
        ("zero lora_B", "share of adapted modules changed"),
        ("base instead of merged", "KL(merged || base)"),
        ("wrong base", "other tensors changed"),
        ("adapter of another run", "largest error of a weight, in roundings"),
        ("full, untrained", "KL(merged || base)"),
    ],
)
def test_a_wrong_merge_fails(gates: dict[str, Any], name: str, measure: str) -> None:
    assert not gates[name]["passed"]
    assert measure in gates[name]["failing"]
    assert gates[name]["complaint"]


def test_rounding_is_all_that_differs(gates: dict[str, Any]) -> None:
    values = gates["good"]["values"]
    assert values["KL(adapter || merged)"] < 1e-3 < values["KL(merged || base)"]
    assert values["largest error of a weight, in roundings"] <= 1
    assert gates["dtype"] == "torch.bfloat16"


def test_the_folder_is_complete_and_holds_nothing_else(gates: dict[str, Any]) -> None:
    assert gates["files"] == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert gates["tokenizer same"]
    assert gates["generation"]["eos_token_id"] == [2, 5]
    assert gates["generation"]["bos_token_id"] == 1


def test_an_adapter_with_nan_is_refused(gates: dict[str, Any]) -> None:
    assert "NaN" in gates["nan adapter"]
