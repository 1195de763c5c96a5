"""What the screen and the command line import of evaluation and export loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys

LIGHT = (
    "tui_ft.evaluation.report",
    "tui_ft.evaluation.worker",
    "tui_ft.evaluation.chat",
    "tui_ft.export.targets",
    "tui_ft.export.ollama",
    "tui_ft.export.vllm",
    "tui_ft.export.gguf",
    "tui_ft.export.converter",
    "tui_ft.export.worker",
)
HEAVY = ("torch", "transformers", "peft", "trl", "datasets", "cyllama", "pandas", "textual")


def test_nothing_heavy() -> None:
    code = (
        f"import sys, importlib\nfor name in {LIGHT!r}: importlib.import_module(name)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
