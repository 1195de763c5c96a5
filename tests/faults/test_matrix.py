"""The matrix itself."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def faults() -> Iterator[ModuleType]:
    """The script that draws the page."""
    spec = importlib.util.spec_from_file_location("faults_page", ROOT / "docs" / "faults.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_page_is_current(faults: ModuleType) -> None:
    """A fault is added or changed: docs/reliability.md is drawn anew (`make docs`)."""
    page = faults.TARGET.read_text(encoding="utf-8")
    assert faults.BEGIN in page
    assert faults.drawn(page) == page


def test_every_fault_says_its_promise(faults: ModuleType) -> None:
    """A test of this folder says nothing: it is refused."""
    for path in Path(__file__).parent.glob("test_*.py"):
        functions = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
        tests = [node.name for node in functions if node.name.startswith("test_")]
        assert [row.test.rpartition("::")[2] for row in faults.rows(path)] == tests
