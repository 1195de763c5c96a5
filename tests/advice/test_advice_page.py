"""docs/advice.md says what the program says."""

from __future__ import annotations

from pathlib import Path

from tui_ft.advice.situations import DIMENSIONS, SHIP_RULE, SITUATIONS, VERDICTS

PAGE = (Path(__file__).parents[2] / "docs" / "advice.md").read_text(encoding="utf-8")


def test_the_page_has_every_row_of_the_table() -> None:
    for row in SITUATIONS:
        assert f"| {row.situation} | {row.advice} | {row.reason} | {' '.join(row.guides)} |" in PAGE
    for line in DIMENSIONS:
        assert f"| {line.name} | {line.prompting} | {line.rag} | {line.fine_tuning} |" in PAGE


def test_the_page_names_every_verdict_and_the_ship_rule() -> None:
    assert SHIP_RULE in PAGE
    joined = " ".join(PAGE.split())
    assert " · ".join(VERDICTS) in joined


def test_the_example_in_the_page_runs() -> None:
    code = PAGE.split("```python\n")[1].split("```")[0]
    exec(compile(code, "advice.md", "exec"), {})
