"""Tokenizers and small data files for the tests of data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.data.samples import CHATML, write_tokenizer
from tui_ft.models.tokenizer import ChatTokenizer

WriteRows = Callable[..., Path]


@pytest.fixture(scope="session")
def chatml(tmp_path_factory: pytest.TempPathFactory) -> ChatTokenizer:
    """A tokenizer with the ChatML template and <|im_end|> as its stop token."""
    folder = tmp_path_factory.mktemp("chatml")
    return write_tokenizer(folder, CHATML, stops=["<|im_end|>"], eos="<|im_end|>", bos="<|im_start|>")


@pytest.fixture(scope="session")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> ChatTokenizer:
    """A tokenizer without a chat template that puts <s> before texts and ends them with </s>."""
    return write_tokenizer(
        tmp_path_factory.mktemp("base"), None, stops=["</s>"], eos="</s>", bos="<s>", opens=True
    )


@pytest.fixture
def write_rows(tmp_path: Path) -> WriteRows:
    """Write rows as JSON lines and return the path."""

    def write(rows: Iterable[Mapping[str, Any]], name: str = "rows.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write
