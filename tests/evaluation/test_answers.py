"""Batched answers and losses are those of each row by itself."""

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


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("answers")
    model = make(root / "model")
    folder = make_run(root, model)
    write_adapter(folder.adapter, model)
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("answers_child.py")), str(folder.path)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_padding_changes_no_answer(measured: dict[str, Any]) -> None:
    assert measured["batched"] == measured["one_by_one"]
    assert len({tuple(ids) for ids in measured["batched"]}) > 1


def test_losses_are_those_of_transformers(measured: dict[str, Any]) -> None:
    assert measured["losses"] == pytest.approx(measured["losses_one_by_one"], rel=1e-5)


def test_the_base_is_the_base_with_the_adapter_switched_off(measured: dict[str, Any]) -> None:
    assert measured["base_losses"] == pytest.approx(measured["base_losses_alone"], rel=1e-5)
    assert measured["base_losses"] != pytest.approx(measured["losses"], rel=1e-2)


def test_progress_ends_with_every_row(measured: dict[str, Any]) -> None:
    assert measured["progress"] == [9]


def test_a_stop_token_ends_the_answer(measured: dict[str, Any]) -> None:
    assert measured["stop_first"] == {"ids": [], "stopped": True}
