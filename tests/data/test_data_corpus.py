"""A corpus of small broken and clean files, each with exactly the findings that are listed for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.data.corpus_listing import LISTING, files, look, model
from tui_ft.models.tokenizer import ChatTokenizer

EXPECTED: dict[str, Any] = json.loads(LISTING.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> ChatTokenizer:
    """The tokenizer of the listing."""
    return model(tmp_path_factory.mktemp("corpus"))


def test_every_file_is_listed() -> None:
    assert sorted(EXPECTED) == files()
    assert len(EXPECTED) >= 150


@pytest.mark.parametrize("name", files())
def test_each_file_has_exactly_its_findings(name: str, tokenizer: ChatTokenizer) -> None:
    assert look(name, tokenizer) == EXPECTED[name]


@pytest.mark.parametrize("name", [name for name in files() if name.startswith("clean/")])
def test_clean_data_is_not_warned_of(name: str) -> None:
    loud = [line for line in EXPECTED[name]["findings"] if ": info," not in line]
    assert loud == []


def test_every_place_has_a_line() -> None:
    for name, report in EXPECTED.items():
        for line in report.get("findings", []):
            places = line.partition(", at ")[2]
            assert all(int(place) >= 1 for place in places.split(", ") if place), name
