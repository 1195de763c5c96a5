"""What may be loaded where: torch only in child processes, Textual only by the screens."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "transformers", "datasets", "trl", "peft", "accelerate", "bitsandbytes")


def loaded_by(*modules: str) -> set[str]:
    """Top-level packages in memory after importing these modules in a fresh process."""
    script = (
        f"import sys\nfor m in {modules!r}: __import__(m)\n"
        "print(*{m.split(chr(46))[0] for m in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "module",
    [
        "tui_ft.pipeline",
        "tui_ft.plain.steps",
        "tui_ft.commands.demo",
        "tui_ft.evaluation.report",
        "tui_ft.runs.view",
    ],
)
def test_the_program_without_a_screen_loads_neither_torch_nor_textual(module: str) -> None:
    assert not loaded_by(module) & {*HEAVY, "textual"}


def test_the_screens_load_no_torch() -> None:
    assert not loaded_by("tui_ft.screens.shell") & set(HEAVY)


def test_only_the_wizard_command_names_the_screens() -> None:
    files = (Path(__file__).parents[1] / "tui_ft").rglob("*.py")
    naming = {path.name for path in files if "tui_ft.screens" in path.read_text(encoding="utf-8")}
    assert naming == {"wizard.py"}
