"""The process that draws and plans stays light."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tui_ft

HEAVY = ["torch", "transformers", "datasets", "trl", "peft", "accelerate", "bitsandbytes", "textual", "numpy"]

LOADED = """
import json, sys
from tui_ft.hardware import describe, detect, doctor, nvml, host
from tui_ft.settings import home
late = [name for name in ("huggingface_hub", "packaging") if name in sys.modules]
hardware = detect.detect(home())
describe.gpu_rows(hardware)
nvml.sample()
host.sample_host()
tuple(doctor.checks(home(), probe=False))
print(json.dumps([late, sorted(sys.modules)]))
"""


def test_nothing_heavy_is_loaded(run_python: Callable[..., Any], bare_env: dict[str, str]) -> None:
    late, modules = run_python(LOADED, env=bare_env)
    assert late == []
    assert [name for name in HEAVY if name in modules] == []


def test_nothing_imports_the_probe() -> None:
    package = Path(tui_ft.__file__).parent
    folders = [package, package.parent / "screens"]
    for path in (path for folder in folders for path in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            )
            module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
            assert "tui_ft.hardware.probe" not in [module, *names], path
            assert not (module.endswith("hardware") and "probe" in names), path


def test_detection_is_quick() -> None:
    from tui_ft.hardware.detect import detect
    from tui_ft.settings import home

    start = time.process_time()
    detect(home())
    assert time.process_time() - start < 0.25  # about 10 ms on a quiet machine
