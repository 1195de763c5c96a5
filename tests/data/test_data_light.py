"""Checking data loads nothing heavy: the wizard does it in its own process."""

from __future__ import annotations

import subprocess
import sys

import pytest

_HEAVY = ("torch", "transformers", "datasets", "trl", "peft", "textual", "pandas", "numpy.random")


@pytest.mark.parametrize(
    ("program", "more"),
    [
        (
            "import tui_ft.data.kinds, tui_ft.data.rows, tui_ft.data.describe",
            ("pyarrow", "tokenizers", "jinja2"),
        ),
        (
            "import tui_ft.data.check, tui_ft.data.prepare, tui_ft.data.preview, tui_ft.data.hub",
            ("huggingface_hub",),
        ),
    ],
)
def test_no_heavy_library_is_loaded(program: str, more: tuple[str, ...]) -> None:
    listing = f"{program}; import sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", listing], capture_output=True, text=True, check=True
    ).stdout.split()
    assert set(loaded).isdisjoint({*_HEAVY, *more})
