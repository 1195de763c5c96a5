"""`--price` of plan and train: kept for this box, behind the recipe's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests import tiny_model
from tui_ft.cli import main


@pytest.fixture
def plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run `tui-ft plan --json` with more arguments on a tiny model; returns exit code, JSON and stderr."""
    tiny_model.make(tmp_path / "model")
    rows = [
        {"messages": [{"role": "user", "content": f"Say {n}"}, {"role": "assistant", "content": str(n)}]}
        for n in range(80)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = tmp_path / "recipe.toml"
    text = '[model]\nid = "./model"\n[data]\npath = "rows.jsonl"\n'

    def run(*arguments: str, more: str = "") -> tuple[int, dict[str, Any], str]:
        path.write_text(text + more)
        code = main(["plan", str(path), "--json", "--home", str(tmp_path / "home"), *arguments])
        said = capsys.readouterr()
        return code, json.loads(said.out) if said.out else {}, said.err

    return run


def test_a_price_is_asked_once(plan: Any) -> None:
    assert plan()[1]["money"] is None
    given = plan("--price", "0.44")[1]
    assert given["money"]["low"] > 0
    assert given["costs"]["price"] == {"low": 0.44, "high": 0.44, "typical": False, "as_of": ""}
    assert plan()[1]["money"] == given["money"]
    assert plan("--price", "0")[1]["money"] is None
    assert plan()[1]["money"] is None


def test_the_recipes_own_price_goes_first(plan: Any) -> None:
    _, document, said = plan("--price", "0.44", more="[limits]\nprice_per_hour = 2.0\n")
    assert document["costs"]["price"]["low"] == 2.0
    assert "own price of $2" in said
    assert plan()[1]["costs"]["price"]["low"] == 0.44


def test_what_is_no_price_is_refused(plan: Any) -> None:
    code, document, said = plan("--price=-3")
    assert code == 2
    assert not document
    assert "no price" in said
